"""`luke_textcat`: categories of whole texts."""
