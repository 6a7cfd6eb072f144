"""What this process listens on: read from its sockets, so that it holds whatever started it."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def find_listening_hosts() -> list[str]:
    """The IP addresses of every TCP socket on which this process accepts connections.

    A worker of BentoML inherits the socket that its parent opened.
    """
    hosts = []
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            if stat.S_ISSOCK(path.stat().st_mode) and (host := _read_host(int(path.name))):
                hosts.append(host)
    return hosts


def _read_host(descriptor: int) -> str:
    """The address of a listening TCP socket; "" for any other socket."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6):
            return ""
        if not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return ""
        return str(copy.getsockname()[0])


def is_exposed(hosts: Iterable[str]) -> bool:
    """Whether another machine may reach one of these addresses. None at all counts as exposed: what cannot
    be known must not be trusted."""
    addresses = list(hosts)
    return not addresses or not all(is_loopback(host) for host in addresses)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, is this machine's own and no other machine's."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
