"""One script that tests and measures the GPU path: python -m bench.gpu."""
