"""The store beside Feast, on the same rows, in one run.

    python -m benchmarks.peers [--quick | --rows N] [--json]          (make bench-peers)

Feast needs other versions of packages than Evergreen, so it gets an environment of its own in
benchmarks/out/, made by uv from whatever index this machine is configured for.
Results: benchmarks/out/peers.json.
"""
