"""Callbacks: the caller's own code that the parent calls on consistent copies of the model."""
