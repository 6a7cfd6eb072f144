"""The web pages that may call a service (CORS): none, unless EVERGREEN_CORS_ORIGINS names their origins."""

from __future__ import annotations

import re
from typing import TypeAlias

from evergreen.errors import SettingsError

ANY = "*"
HeaderList: TypeAlias = list[tuple[bytes, bytes]]

_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_METHODS = b"GET, POST"
_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, Traceparent, X-API-Key, X-Evergreen-Channel, X-Request-ID"
)
_EXPOSED = b"Retry-After, X-Request-ID"
# For so long a browser need not ask again whether it may call.
_SECONDS = b"600"


class AllowedOrigins:
    """The headers that tell a browser whether a page of some origin may call, and read the answer.

    No cookie and no other credential of the browser's is involved: pages send the API key themselves.
    """

    def __init__(self, origins: frozenset[bytes]) -> None:
        self._origins = origins
        self._all = ANY.encode() in origins

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may call."""
        return self._all or origin in self._origins

    def list_answer_headers(self, origin: bytes) -> HeaderList:
        """The headers of an answer to a page of an allowed origin."""
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def list_preflight_headers(self) -> HeaderList:
        """The headers by which a browser's question before a call (OPTIONS) is answered, beside those."""
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", _SECONDS),
        ]


def parse_origins(text: str, *, keys_required: bool) -> AllowedOrigins:
    """The origins of EVERGREEN_CORS_ORIGINS. Raises SettingsError for what is none, and for `*` where a
    caller needs no key."""
    origins = [origin for part in text.split(",") if (origin := part.strip())]
    for origin in origins:
        if origin == ANY:
            if not keys_required:
                raise SettingsError(
                    "EVERGREEN_CORS_ORIGINS is *, and this service needs no key: every web page that somebody"
                    " of this machine visits could read and send predictions",
                    hint="name the origins of your pages, or require keys: evergreen keys new NAME",
                )
        elif not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"EVERGREEN_CORS_ORIGINS has {origin[:80]!r}, which is no origin",
                hint="an origin is scheme, host and port without a path, in lower case: https://a.example:8443",
            )
    return AllowedOrigins(frozenset(origin.encode() for origin in origins))
