"""Routes for particular processors. Each computes what the plain PyTorch code beside it does."""
