"""One script that proves the GPU path, or says where it falls short: python -m bench.gpu."""
