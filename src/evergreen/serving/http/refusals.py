"""The answers by which the guard refuses a request, made once: their bodies are JSON already."""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

from evergreen.serving.guard.routes import Route
from evergreen.serving.http.error_bodies import BUSY_HINT, LATE_HINT, encode_error, encode_too_large


class Refusal(NamedTuple):
    """An answer with its status, its body and headers beside the usual ones."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


MISDIRECTED: Final = Refusal(
    421,
    encode_error(
        "InvalidRequest",
        "the header Host names another server than this service",
        "call it by its own name, or add the name to EVERGREEN_ALLOWED_HOSTS where the service runs",
    ),
)
NOT_FOUND: Final = Refusal(404, encode_error("InvalidRequest", "Not Found", "see / for what there is"))
NO_KEY: Final = Refusal(
    401,
    encode_error(
        "AccessDenied",
        "this service needs an API key, and the request has none that it knows",
        "send the header Authorization: Bearer KEY, or X-API-Key: KEY",
    ),
    ((b"www-authenticate", b'Bearer realm="evergreen"'),),
)
LATE_BODY: Final = Refusal(
    408,
    encode_error("InvalidRequest", "the body did not arrive in time", LATE_HINT),
    ((b"connection", b"close"),),
)
NO_BODY_MEMORY: Final = Refusal(
    503,
    encode_error("ServiceBusy", "other large bodies leave no memory for this one", BUSY_HINT),
    ((b"connection", b"close"), (b"retry-after", b"5")),
)
TOO_MANY_HEADERS: Final = Refusal(
    431, encode_error("InvalidRequest", "the request has too many headers", "send 64 at most")
)
FAILED: Final = Refusal(
    500,
    encode_error(
        "InternalError",
        "the service failed on this request",
        "its log has the details, under the X-Request-ID of this answer",
    ),
)
# What a browser asks before a call of a page whose origin is allowed.
PREFLIGHT: Final = Refusal(204, b"")


@functools.cache
def build_method_refusal(route: Route) -> Refusal:
    """The answer to a method that a route does not have, with those that it has."""
    allowed = ", ".join(route.methods)
    body = encode_error("InvalidRequest", "Method Not Allowed", f"send {allowed}; see / for what there is")
    return Refusal(405, body, ((b"allow", allowed.encode()),))


@functools.cache
def build_size_refusal(limit: int) -> Refusal:
    """The answer to a body of more than `limit` bytes."""
    return Refusal(413, encode_too_large(limit))
