"""One model for all workers, and what is done about gradients that are older than it."""
