"""Names, limits and types that every declaration keeps to."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from typing import Literal, get_args

from evergreen.errors import UseCaseError

DType = Literal["int", "float", "category", "text"]
Problem = Literal["binary", "multiclass", "regression"]
Split = Literal["time", "stratified", "grouped"]
Severity = Literal["error", "warning"]

# To be matched whole (`fullmatch`): `$` would let a newline at the end pass.
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")

# Rows of a source without an event-time column are true "always": they carry this event time.
TIMELESS = datetime(1970, 1, 1, tzinfo=UTC)

# What a stored value may hold at most: a category's and a text key's characters, a text's UTF-8 bytes.
CATEGORY_CHARACTERS = 255
KEY_CHARACTERS = 191
TEXT_BYTES = 65_535
# What a row's declared values may take of MariaDB's 65,535 bytes and of half an InnoDB page (8,126 bytes).
ROW_BYTES = 65_300
PAGE_BYTES = 7_700

EVENT_TIME = "event_time"

# Columns and tables that Evergreen adds itself; MariaDB's identifiers have 64 characters at most.
RESERVED_COLUMNS = frozenset(
    (
        *(EVENT_TIME, "ingested_at", "row_start", "row_end", "prediction_id", "predicted_at"),
        *("model_version", "channel", "prediction", "probability", "probabilities", "actual", "actual_at"),
    )
)
# The part of an ingest that is the label, and what its table's name ends with.
LABEL = "label"
RESERVED_VIEWS = frozenset((LABEL, "prediction"))
IDENTIFIER_LENGTH = 64

# The source column of a key that is the row's number in its file (1 is the first row below the header).
ROW_NUMBER = "#"


def check_name(name: str, what: str) -> str:
    """Return `name` if it may become an SQL identifier, a DAG id and a field; raise UseCaseError if not."""
    if not NAME.fullmatch(name):
        raise UseCaseError(
            f"{what} {name!r} is not a valid name",
            hint="use lower-case letters, digits and _, starting with a letter, 48 characters at most",
        )
    return name


def check_choice(value: object, choices: object, what: str) -> None:
    """Raise UseCaseError if `value` is none of a Literal's `choices`; `what` names it."""
    known = [str(choice) for choice in get_args(choices)]
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        raise UseCaseError(
            f"{what} is {value!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}",
        )
