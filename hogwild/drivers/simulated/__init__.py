"""The simulator: runs the same algorithms in one process, under a virtual clock."""
