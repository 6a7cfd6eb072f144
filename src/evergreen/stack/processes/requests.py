"""How the supervisor is asked to restart a server: by a file in the home, which it takes away at once.

A signal carries neither a name nor settings, and a socket would have to be protected from other users.
Whoever asks holds `restart.lock` meanwhile, so that there is one request at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evergreen.private import write_private_file

REQUEST_FILE = "restart.json"


@dataclass(frozen=True)
class RestartRequest:
    """A request to end the server `name` and to start it anew with `environment` beside what it had.

    `id` is unique: the supervisor writes it into the server's state when it starts the new process.
    """

    id: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)


def write_request(home: Path, request: RestartRequest) -> None:
    """Ask the supervisor of a home. Raises OSError when the home cannot be written."""
    write_private_file(home / REQUEST_FILE, json.dumps(asdict(request)))


def take_request(home: Path) -> RestartRequest | None:
    """The request that waits, which is then gone; None when there is none, or none that can be read."""
    path = home / REQUEST_FILE
    try:
        text = path.read_text("utf-8")
        path.unlink()
        return RestartRequest(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def has_request(home: Path) -> bool:
    """Whether a request has not been taken yet."""
    return (home / REQUEST_FILE).exists()


def withdraw_request(home: Path) -> bool:
    """Take back a request that nobody has taken; whether there was one."""
    try:
        (home / REQUEST_FILE).unlink()
    except FileNotFoundError:
        return False
    return True
