"""One averaging step of replicas: shared memory against packages that send messages between processes.

python -m bench.peers; see bench/README.md.
"""
