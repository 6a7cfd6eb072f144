"""The types, reserved names and limits of declarations, and the checks on names and choices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, get_args

from evergreen.errors import UseCaseError

DType = Literal["int", "float", "category", "text"]
Problem = Literal["binary", "multiclass", "regression"]
Split = Literal["time", "stratified", "grouped"]
Severity = Literal["error", "warning"]

# For `fullmatch`: `$` would accept a newline at the end.
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")

# The event time of rows from a source without an event-time column, which are taken as true at all times.
TIMELESS = datetime(1970, 1, 1, tzinfo=UTC)

# The greatest length of a stored value: of a category and a text key in characters, of a text in UTF-8 bytes.
CATEGORY_CHARACTERS = 255
KEY_CHARACTERS = 191
TEXT_BYTES = 65_535
# How many bytes of MariaDB's 65,535 per row, and of half an InnoDB page (8,126 bytes), declared values may
# take.
ROW_BYTES = 65_300
PAGE_BYTES = 7_700

EVENT_TIME = "event_time"

# Columns that Evergreen adds itself.
RESERVED_COLUMNS = frozenset(
    (
        *(EVENT_TIME, "ingested_at", "row_start", "row_end", "prediction_id", "predicted_at"),
        *("model_version", "channel", "prediction", "probability", "probabilities", "actual", "actual_at"),
    )
)
# The name of the label as a part of an ingest, and the end of its table's name.
LABEL = "label"
# Names that would make a view's table one that Evergreen adds itself.
RESERVED_VIEWS = frozenset((LABEL, "prediction", "outcome"))
# MariaDB's greatest length of an identifier, in characters.
IDENTIFIER_LENGTH = 64

# As the source column of a key: the row's number in its file (1 is the first row below the header).
ROW_NUMBER = "#"


def check_name(name: str, subject: str) -> str:
    """Return `name` if it may become an SQL identifier, a DAG id and a field.

    Raises UseCaseError if not; `subject` says what has the name.
    """
    if not NAME.fullmatch(name):
        raise UseCaseError(
            f"{subject} {name!r} is not a valid name",
            hint="use lower-case letters, digits and _, starting with a letter, 48 characters at most",
        )
    return name


def check_choice(value: object, choices: object, subject: str) -> None:
    """Raise UseCaseError if `value` is none of the values of the Literal type `choices`; `subject` says what
    has the value."""
    names = [str(choice) for choice in get_args(choices)]
    if value not in names:
        hint = suggest_name(str(value), names, f"choose one of {', '.join(names)}")
        raise UseCaseError(f"{subject} is {value!r}", hint=hint)


def suggest_name(name: str, valid_names: Iterable[str], otherwise: str) -> str:
    """A hint for an unknown name: the most similar valid name, or the text `otherwise` if none is similar."""
    matches = difflib.get_close_matches(name, list(valid_names), n=1)
    return f"did you mean {matches[0]!r}?" if matches else otherwise
