"""Makes a connection to MariaDB end soon after its server's machine, or the way to it, has gone.

A statement may rightly take a quarter of an hour, so the time-out of an answer cannot tell a slow server from
one that will never answer. The system can: while it waits it asks the other machine's system now and then.
"""

from __future__ import annotations

import os
import socket
from typing import Any

# After so many seconds without a byte the other side is asked, again so often, and given up at last.
_IDLE_SECONDS = 15
_REPEAT_SECONDS = 5
_DEAD_SECONDS = 120

# Not every system has all of them.
_OPTIONS = {
    "TCP_KEEPIDLE": _IDLE_SECONDS,
    "TCP_KEEPINTVL": _REPEAT_SECONDS,
    "TCP_KEEPCNT": (_DEAD_SECONDS - _IDLE_SECONDS) // _REPEAT_SECONDS,
    # Bytes that were sent and never confirmed; the others do nothing for those.
    "TCP_USER_TIMEOUT": _DEAD_SECONDS * 1000,
}


def keep_watch(connection: Any) -> None:
    """Set the options on a connection of PyMySQL or mysqlclient; one by a Unix socket needs none."""
    handle = find_descriptor(connection)
    if handle is None:
        return
    with socket.socket(fileno=os.dup(handle)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6):
            return
        copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS.items():
            if hasattr(socket, name):
                copy.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def find_descriptor(connection: Any) -> int | None:
    """The descriptor of a driver's connection; None where the driver does not tell it."""
    # PyMySQL has no public name for it, mysqlclient has.
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        return int(sock.fileno())
    fileno = getattr(connection, "fileno", None)
    return int(fileno()) if fileno is not None else None
