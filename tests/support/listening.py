"""What processes listen on, as the kernel tells: TCP and UDP ports, and Unix sockets that anybody reaches."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from evergreen.stack.processes import warden
from support.serving_world import Service

_TCP_LISTENS = "0A"
_UNIX_ACCEPTS = 0x10000  # __SO_ACCEPTCON


def listening(pids: Iterable[int]) -> set[str]:
    """`tcp 127.0.0.1:3000`, `udp 0.0.0.0:5353` or `unix @name` for each socket of these processes on which
    another user of the machine could speak to them: TCP ports that listen, UDP ports that are bound and
    connected to nobody, and abstract Unix sockets, which no folder protects."""
    inodes = _sockets_of(pids)
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text("utf-8").splitlines()[1:]:
            fields = line.split()
            connected = not fields[2].endswith(":0000")
            waits = fields[3] == _TCP_LISTENS if table.startswith("tcp") else not connected
            if waits and fields[9] in inodes:
                found.add(f"{table[:3]} {_address(fields[1])}")
    for line in Path("/proc/net/unix").read_text("utf-8").splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & _UNIX_ACCEPTS and fields[6] in inodes and fields[7:] and fields[7][0] == "@":
            found.add(f"unix {fields[7]}")
    return found


def assert_listens_only_on(service: Service) -> None:
    """A service and all of its workers listen on its announced port and on nothing else."""
    address = urlsplit(service.url)
    pids = {service.process.pid, *warden.find_descendants(service.process.pid)}
    assert listening(pids) == {f"tcp {address.hostname}:{address.port}"}


def _sockets_of(pids: Iterable[int]) -> set[str]:
    inodes = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(link.readlink())
                    if target.startswith("socket:["):
                        inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    return inodes


def _address(text: str) -> str:
    """`0100007F:0BB8` as `127.0.0.1:3000`: 32-bit words in the machine's (little-endian) order."""
    address, port = text.split(":")
    words = bytes.fromhex(address)
    ordered = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    return f"{ipaddress.ip_address(ordered)}:{int(port, 16)}"
