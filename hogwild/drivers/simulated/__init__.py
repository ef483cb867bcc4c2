"""The simulator: the same algorithm texts in one process, under a virtual clock."""
