"""A worker's view of the run: the operations of an algorithm, on the kernels and the shared memory."""
