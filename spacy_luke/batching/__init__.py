"""Docs in, encoder inputs out, and the way back."""
