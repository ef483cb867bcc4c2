"""A worker's view of the run: what an algorithm may do, on the kernels and the shared memory."""
