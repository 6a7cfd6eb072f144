"""What the service promises, tried on real processes: faults under load, and every answer counted.

`python -m benchmarks.chaos` (`make chaos`) runs all of them on one private MariaDB. The load is that of
`benchmarks.serving.load`, and predictions are reconciled by their ids, as in `benchmarks.serving`.
"""
