"""`luke_token_classifier`: a label for each token."""
