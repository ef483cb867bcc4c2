"""Drivers run an algorithm: real processes on shared memory, or one process under a virtual clock."""
