"""Thinc models around the encoders."""
