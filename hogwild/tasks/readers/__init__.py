"""Readers of file formats into NumPy arrays. Every fault of a file is a DataError with its path and the numbers."""
