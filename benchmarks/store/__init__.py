"""How fast the feature store is, against the tools that people would use instead, in one run.

    python -m benchmarks.store [--quick | --rows N] [--json]          (make bench-store)

Everything happens on a private MariaDB of its own, which is gone at the end. What is compared gives the same
rows, which is checked; the contenders take turns, and medians count. Results: benchmarks/out/store.json.
"""
