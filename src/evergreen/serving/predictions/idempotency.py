"""Ids of predictions and outcomes that callers make: a request that is sent again is logged once.

A caller sends `Idempotency-Key: UUIDv7`, the same for every attempt at one request. A service that uses it as
the row's id writes one row, whichever attempt it was, because rows are known by their ids.
"""

from __future__ import annotations

import re
from uuid import UUID

from uuid_utils import uuid7

# In its usual form, so that one id has one text.
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# The log is kept by the moment that an id carries; clocks of callers may differ by less.
_FRESH_SECONDS = 300.0
_RANDOM_BITS = 62
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1


def read_idempotency_key(header: bytes, now: float) -> str | None:
    """The id of the first row of a request with this header; None where the service makes one.

    `now` is in seconds since 1970. A key of another moment than about now, or that is no UUIDv7, is left
    aside.
    """
    text = header.decode("latin-1")
    if not _UUID7.fullmatch(text):
        return None
    made_at = int(text[:8] + text[9:13], 16) / 1000.0
    return text if abs(made_at - now) <= _FRESH_SECONDS else None


def make_row_ids(first: str | None, count: int) -> list[str]:
    """The ids of the rows of one request: those of its key `first`, or new ones."""
    return [str(uuid7()) for _ in range(count)] if first is None else derive_row_ids(first, count)


def derive_row_ids(first: str, count: int) -> list[str]:
    """The ids of the rows of one request, the same for every attempt: the first is the key itself, the others
    count on from its random part."""
    number = int(first.replace("-", ""), 16)
    fixed, random = number & ~_RANDOM_MASK, number & _RANDOM_MASK
    return [str(UUID(int=fixed | ((random + row) & _RANDOM_MASK))) for row in range(count)]
