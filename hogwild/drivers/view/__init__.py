"""The view of the world that an algorithm sees, made of the kernels and the shared memory."""
