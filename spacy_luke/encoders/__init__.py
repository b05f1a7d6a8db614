"""PyTorch encoders and task heads; this package knows no spaCy, no Thinc and no transformers."""
