"""Checkpoints: the state of a run, its files on disk, and whether a run may resume from one."""
