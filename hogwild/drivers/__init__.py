"""Drivers run an algorithm: real processes on shared memory."""
