"""Benchmarks of several boxes on one machine: `python -m bench.boxes`."""
