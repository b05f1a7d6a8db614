"""`luke_qa`: answers to questions about a Doc."""
