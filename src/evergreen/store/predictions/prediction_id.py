"""Ids of predictions: UUIDv7 (RFC 9562), whose first 48 bits are the moment of the prediction."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

from evergreen.errors import StoreError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OTHER_VARIANT = {"8": "9", "9": "8", "a": "b", "b": "a"}
_USUAL_FORM = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def parse_prediction_id(prediction_id: str) -> tuple[str, datetime]:
    """The id in its usual form, in lower-case letters with hyphens, and its moment (aware UTC, milliseconds).

    Raises StoreError when the text is no UUIDv7, or one of a moment beyond the year 9999, which no service
    has given.
    """
    try:
        match = _USUAL_FORM.fullmatch(prediction_id)
        if match is None:
            prediction_id = str(uuid.UUID(prediction_id))
            match = _USUAL_FORM.fullmatch(prediction_id)
        if match is not None:
            return prediction_id, _EPOCH + timedelta(milliseconds=int(match[1] + match[2], 16))
    except (ValueError, OverflowError):
        pass
    raise StoreError(
        f"{prediction_id!r} is not a prediction id", hint="send the prediction_id of an answer (a UUIDv7)"
    )


def format_id_prefix(moment: datetime) -> str:
    """What the ids of a moment's millisecond (aware UTC) begin with: as text, ids are in the order of their
    moments."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"


def is_usual_form(prediction_id: str) -> bool:
    """Whether a text is a UUIDv7 in lower-case letters with hyphens."""
    return _USUAL_FORM.fullmatch(prediction_id) is not None


def derive_shadow_id(prediction_id: str) -> str:
    """The id of the challenger's prediction in a shadow trial, from that of the champion's for the same row.

    Only the character of the UUID's variant differs: 8 and 9, and a and b, change places. So it is a UUIDv7
    of the same moment, and the function is its own inverse. `docs/serving.md` has it in SQL.
    """
    return f"{prediction_id[:19]}{_OTHER_VARIANT[prediction_id[19]]}{prediction_id[20:]}"


def parse_prediction_time(prediction_id: str) -> datetime:
    """The moment (aware UTC, milliseconds) of a prediction id. Raises what `parse_prediction_id` raises."""
    return parse_prediction_id(prediction_id)[1]
