"""A load generator of our own: raw sockets, prebuilt requests, one thread. Standard library only.

A process of its own runs it (`python -m benchmarks.serving.load PLAN`), so that it has a processor for itself
where there are two, and shares no interpreter lock with what measures.
"""
