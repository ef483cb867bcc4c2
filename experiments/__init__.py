"""Experiments of several runs each, with one command: python -m experiments.NAME."""
