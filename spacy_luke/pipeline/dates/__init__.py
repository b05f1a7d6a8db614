"""`luke_dates`: dates in English texts, by rules."""
