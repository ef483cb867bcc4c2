"""Layers, and what asynchronous training asks of them."""
