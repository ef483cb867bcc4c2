"""File formats, as NumPy arrays. A reader trusts nothing: whatever is wrong is a DataError with path and numbers."""
