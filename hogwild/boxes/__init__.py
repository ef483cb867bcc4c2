"""Runs of several boxes: machines, each with a shared model of its own, which exchange with one another."""
