"""The process driver: worker processes on one shared model, and their parent process."""
