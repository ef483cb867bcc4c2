"""Measurements of a run: statistics of staleness, the edge of stability, evaluation, the report."""
