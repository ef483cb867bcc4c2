"""What is measured about a run: statistics of staleness, the edge of stability, evaluation, the report."""
