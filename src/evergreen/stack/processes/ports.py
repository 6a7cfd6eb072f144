"""Loopback ports: the usual one when it is free, the one from last time, or any free one."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping

LOOPBACK = "127.0.0.1"


def is_port_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of the last server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """A port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def assign_ports(
    wanted: Mapping[str, int], previous: Mapping[str, int], reserved: Collection[int] = ()
) -> dict[str, int]:
    """One port per name, all different: the previous one if free, else the wanted one, else any free one.

    `reserved` ports are given to nobody, though nobody may listen on them yet.
    """
    assigned: dict[str, int] = {}
    # First everybody gets the port of last time: a newcomer's usual port may be another's port of last time.
    for choice in (previous, wanted):
        for name in wanted:
            port = choice.get(name, 0)
            if name in assigned or not port or port in reserved or port in assigned.values():
                continue
            if is_port_free(port):
                assigned[name] = port
    for name in wanted:
        if name not in assigned:
            port = find_free_port()
            while port in {*assigned.values(), *wanted.values(), *reserved}:
                port = find_free_port()
            assigned[name] = port
    return {name: assigned[name] for name in wanted}
