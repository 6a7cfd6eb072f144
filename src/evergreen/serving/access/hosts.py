"""The names under which a service may be called: the Host header of a request must be one of them.

A web page of a name that its owner points at 127.0.0.1 (DNS rebinding) is of the service's own origin to a
browser, so that its scripts read every answer. The Host header is what gives such a request away.
"""

from __future__ import annotations

import ipaddress
import re

from evergreen.errors import SettingsError
from evergreen.serving.access.listening import is_loopback

ANY = "*"
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_LONGEST = 260
# Headers are remembered by their bytes; a caller may vary the port, so not without bound.
_MOST_REMEMBERED = 64


class AllowedHosts:
    """Judges Host headers: loopback's names and the declared `names` (lower case, `*.` before a domain for
    all below it, `*` for all) are allowed, and the IP address at which the connection arrived.

    An address cannot be rebound: no name stands between the page and the service.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._all = ANY in names
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._remembered: set[bytes] = set()

    def allows(self, header: bytes, local_address: str) -> bool:
        """Whether a request with this Host header, at this address of this machine, may be answered."""
        if header in self._remembered:
            return True
        name = _read_name(header)
        if name is None:
            return False
        if self._all or is_loopback(name) or name in self._names or name.endswith(self._suffixes):
            if len(self._remembered) < _MOST_REMEMBERED:
                self._remembered.add(header)
            return True
        # Not remembered, because it depends on the connection.
        return _is_same_address(name, local_address)


def parse_hosts(text: str) -> frozenset[str]:
    """The names of EVERGREEN_ALLOWED_HOSTS. Raises SettingsError."""
    names = [name for part in text.split(",") if (name := part.strip().lower())]
    for name in names:
        if name != ANY and not _NAME.fullmatch(name) and not _is_address(name):
            raise SettingsError(
                f"EVERGREEN_ALLOWED_HOSTS has {name[:80]!r}, which is no host name",
                hint="name hosts without scheme and port: a.example, *.b.example, or * for all",
            )
    return frozenset(names)


def _read_name(header: bytes) -> str | None:
    """The name in a Host header, lower case, without port, brackets and final dot; None where it has none."""
    if len(header) > _LONGEST:
        return None
    match = _HOST.fullmatch(header.decode("latin-1").lower())
    return match["name"].strip("[]").removesuffix(".") if match else None


def _is_same_address(name: str, local_address: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(local_address.partition("%")[0])
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
