"""Code that components of several tasks share."""
