"""One model for all workers, and steps on the sum of several gradients."""
