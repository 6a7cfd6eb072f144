"""Ports on loopback: whether one is free, and one for each server of the stack."""

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
    usual: Mapping[str, int], previous: Mapping[str, int], reserved: Collection[int] = ()
) -> dict[str, int]:
    """One port per name, all different: the previous one if free, else the usual one, else any free one.

    `usual` and `previous` are ports by server. `reserved` ports are given to none, free or not.
    """
    assigned: dict[str, int] = {}
    # Previous ports come first: the usual port of a new server may be the previous one of another.
    for choice in (previous, usual):
        for name in usual:
            port = choice.get(name, 0)
            if name in assigned or not port or port in reserved or port in assigned.values():
                continue
            if is_port_free(port):
                assigned[name] = port
    for name in usual:
        if name not in assigned:
            port = find_free_port()
            while port in {*assigned.values(), *usual.values(), *reserved}:
                port = find_free_port()
            assigned[name] = port
    return {name: assigned[name] for name in usual}
