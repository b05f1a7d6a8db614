"""`luke_ner`: named entities by classifying candidate spans."""
