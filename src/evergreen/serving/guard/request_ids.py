"""The id of a request: the caller's own where it sends one, else a new one. Log records carry it."""

from __future__ import annotations

import itertools
import re
import secrets
from contextvars import ContextVar

# Visible characters without quotes and commas: safe in a header, a log line and a shell.
_OWN_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,63}")
# W3C Trace Context, version 00. An id of zeros is invalid.
_TRACE_PARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_request_id: ContextVar[bytes] = ContextVar("evergreen_request_id", default=b"")
# Unique over processes by its random half, within one by its count: a tenth of the cost of a UUID.
_process_part = secrets.token_hex(8).encode()
_count = itertools.count(1)


def choose_request_id(own_id: bytes | None, trace_parent: bytes | None) -> bytes:
    """The id under which a request is handled: its `X-Request-ID`, else the trace id of its `traceparent`,
    else a new one of 32 hexadecimal digits. A header that is malformed, or too long, is left aside."""
    if own_id is not None and _OWN_ID.fullmatch(own_id):
        return own_id
    if trace_parent is not None and (match := _TRACE_PARENT.fullmatch(trace_parent)):
        return match[1]
    return b"%s%016x" % (_process_part, next(_count))


def set_request_id(request_id: bytes) -> None:
    """Make it the id of the request that this task handles."""
    _request_id.set(request_id)


def get_request_id() -> str:
    """The id of the request that this task handles; "" outside of a request."""
    return _request_id.get().decode("ascii")
