"""The process driver: worker processes on one shared model, and the parent that watches them."""
