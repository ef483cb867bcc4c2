"""The substrate: named buffers and the control block in memory that every worker process maps."""
