"""The store beside Feast and the drift check beside Evidently, on the same rows, in one run.

    python -m benchmarks.peers [--quick | --rows N] [--only feast | evidently] [--json]  (make bench-peers)

Feast and Evidently need other versions of packages than Evergreen, so each gets an environment of its own in
benchmarks/out/, made by uv from whatever index this machine is configured for.
Results: benchmarks/out/peers.json.
"""
