"""Loopback ports: the usual one when it is free, the one from last time, or any free one."""

from __future__ import annotations

import socket
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of the last server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """A port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def assign(wanted: Mapping[str, int], previous: Mapping[str, int]) -> dict[str, int]:
    """One port per name, all different: the previous one if free, else the wanted one, else any free one."""
    assigned: dict[str, int] = {}
    for name, usual in wanted.items():
        for port in (previous.get(name, 0), usual):
            if port and port not in assigned.values() and is_free(port):
                assigned[name] = port
                break
        else:
            port = any_free()
            while port in assigned.values() or port in wanted.values():
                port = any_free()
            assigned[name] = port
    return assigned
