"""Ids of predictions: UUIDv7 (RFC 9562), whose first 48 bits are the moment of the prediction."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from evergreen.errors import StoreError


def parse_prediction_id(prediction_id: str) -> tuple[str, datetime]:
    """The id in its usual form, in lower-case letters with hyphens, and its moment (aware UTC, milliseconds).

    Raises StoreError when the text is no UUIDv7, or one of a moment beyond the year 9999, which no service
    has given.
    """
    try:
        identifier = uuid.UUID(prediction_id)
        seconds, milliseconds = divmod(identifier.int >> 80, 1000)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=1000 * milliseconds)
    except (ValueError, OverflowError):
        identifier = None
    if identifier is None or identifier.version != 7:
        raise StoreError(
            f"{prediction_id!r} is not a prediction id", hint="send the prediction_id of an answer (a UUIDv7)"
        )
    return str(identifier), moment


def parse_prediction_time(prediction_id: str) -> datetime:
    """The moment (aware UTC, milliseconds) of a prediction id. Raises what `parse_prediction_id` raises."""
    return parse_prediction_id(prediction_id)[1]
