"""Scorers, corpus readers, callbacks and losses."""
