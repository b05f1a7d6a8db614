"""Measurements beside other libraries, in one command: `python -m benchmarks`."""
