"""Targets: where alerts go. Each is an address of Apprise's, which may hold a password or a token.

An address such as `mailtos://user:password@example.com`, `json://host/path` (a webhook),
`slack://tokenA/tokenB/tokenC` or `mmost://host/token` names the service and how to sign in there. So nothing
of it but its scheme appears in a log, in a table or on a terminal: a target is called "1 (slack)".
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import apprise
from apprise.utils.parse import parse_urls
from pydantic import SecretStr

from evergreen.errors import SettingsError
from evergreen.hiding import MASK

# Seconds to connect, and between two pieces of an answer; an address may say otherwise (?cto= and ?rto=).
CONNECT_SECONDS = 3.0
READ_SECONDS = 3.0
_HINT = (
    "EVERGREEN_ALERT_URLS takes addresses of Apprise's, separated by spaces: json://HOST/PATH for a webhook,"
    " mailtos://USER:PASSWORD@HOST?to=ADDRESS for e-mail, slack://TOKEN_A/TOKEN_B/TOKEN_C; the list is at"
    " https://github.com/caronc/apprise/wiki"
)
_SCHEME = re.compile(r"[a-z][a-z0-9]*(?=://)", re.IGNORECASE)
_PARTS = re.compile(r"[/?&=:@;,#\s]+")
# A piece of an address that is shorter than this is no secret, and may be part of any word.
_SECRET_LENGTH = 5


@dataclass(frozen=True)
class Target:
    """One receiver of alerts. `name` is fit for logs; `service` is Apprise's object, which holds secrets."""

    name: str
    service: Any = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())

    def hide_secrets(self, text: str) -> str:
        """A text of Apprise's without any piece of the address but its host."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


def parse_targets(urls: SecretStr) -> tuple[Target, ...]:
    """The targets of the setting, in its order; none for an empty one.

    Raises SettingsError, without the address, for one that Apprise does not understand.
    """
    return tuple(
        _parse_target(number, url)
        for number, url in enumerate(parse_urls(urls.get_secret_value()) or (), start=1)
    )


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """What Apprise logs as a warning or an error meanwhile in this thread: another one may still wait for a
    target that was left alone.

    None of its records reaches Evergreen's own log: below a warning they show whole addresses. So does what
    urllib3 logs for debugging.
    """
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.INFO)
    handler = _Collector()
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._thread_id = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of the own thread."""
        if record.thread == self._thread_id:
            self.messages.append(record.getMessage())


def _parse_target(number: int, url: str) -> Target:
    scheme = _SCHEME.match(url.strip())
    with collect_warnings():
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        kind = f" ({scheme[0].lower()}://...)" if scheme else ""
        raise SettingsError(
            f"address {number} in EVERGREEN_ALERT_URLS{kind} cannot be understood", hint=_HINT
        )
    for name, parameter, seconds in (
        ("socket_connect_timeout", "cto=", CONNECT_SECONDS),
        ("socket_read_timeout", "rto=", READ_SECONDS),
    ):
        if parameter not in url:
            setattr(service, name, seconds)
    name = f"{number} ({scheme[0].lower() if scheme else 'target'})"
    return Target(name, service, _find_secrets(url, service))


def _find_secrets(url: str, service: Any) -> tuple[str, ...]:
    """The pieces of an address that its texts must not show, longest first. Many services have a token where
    others have a host, which alone may be shown."""
    address = url.partition("://")[2]
    pieces = {piece for text in (address, unquote(address)) for piece in _PARTS.split(text)}
    pieces |= {unquote(piece) for piece in pieces}
    has_host = any("{host}" in template for template in getattr(service, "templates", ()))
    host = str(getattr(service, "host", "") or "") if has_host else ""
    secrets = {piece for piece in pieces if len(piece) >= _SECRET_LENGTH and piece != host}
    return tuple(sorted(secrets, key=lambda piece: (-len(piece), piece)))
