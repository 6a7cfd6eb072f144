"""A service takes over a changed declaration by new worker processes, without a lost request.

The service's parent process watches the use case's files (`follower`), has a changed declaration checked in
a process of its own (`declaration_check`), starts a worker that loads it beside the present one
(`worker_exchange`), and ends the present one gracefully (`retirement`) once the new one is ready
(`successor`).
"""
