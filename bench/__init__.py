"""The benchmarks: `python -m pytest bench -q --benchmark-json=bench.json`, then `python -m bench.report bench.json`.

See bench/README.md. The normal test run never collects them.
"""
