"""Rows of the future: rows of a source that are true only after the moment as of which an ingest works.

An ingest holds them back. The functions here say which rows these are, and what a person is told where a
source has no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from evergreen.errors import SourceError
from evergreen.ingest.input_notes import RunInputs
from evergreen.usecase import FeatureView, FileSource, Label
from evergreen.validation.casting import to_timestamp

if TYPE_CHECKING:
    import pyarrow as pa


def compute_known_until(part: FeatureView | Label, as_of: datetime) -> datetime | None:
    """The last event time that is known as of a moment; None for a part without an event time.

    Rows after it are held back until an ingest whose moment has come, because no model may be given values
    that are not true yet. A label that a database has recorded is known whatever its declared delay: training
    sets leave it out until it is due.
    """
    if part.event_time is None:
        return None
    if isinstance(part, Label):
        return as_of - part.delay if isinstance(part.source, FileSource) else None
    return as_of


def compute_known_from(event_time: datetime, delay: timedelta) -> datetime:
    """When a row that is true at `event_time` (aware UTC) is known; the end of time at the latest."""
    return min(event_time, datetime.max.replace(tzinfo=UTC) - delay) + delay


def describe_future(inputs: RunInputs, as_of: datetime, now: datetime | None = None) -> str:
    """The message for an ingest in which every row of some part lies in the future; "" if there is no such
    part.

    `now` (aware; default: the present) decides on the advice, because an `as_of` after it would be refused.
    """
    parts_with_rows = []
    late_rows: dict[str, int] = {}
    moments: list[datetime] = []
    for part, notes in inputs.parts.items():
        rows, held_back = sum(note.rows for note in notes), sum(note.held_back for note in notes)
        if not rows:
            continue
        parts_with_rows.append(part)
        if held_back == rows:
            late_rows[part] = rows
            moments += [note.known_from for note in notes if note.known_from is not None]
    if not late_rows or not moments:
        return ""
    whose = "" if len(late_rows) == len(parts_with_rows) else f" of {', '.join(late_rows)}"
    earliest = min(moments)
    message = _describe_all_later(max(late_rows.values()), whose, as_of, earliest)
    return f"{message}; {_suggest_as_of(earliest, now)}"


def refuse_only_future_rows(
    part: FeatureView | Label, name: str, batches: Iterable[pa.Table], as_of: datetime
) -> None:
    """Raise SourceError if every row of the part `name` lies after `as_of`.

    `batches` are raw rows; reading stops at the first batch with a row that does not. Rows without a readable
    time are left to the checks of the ingest.
    """
    until = compute_known_until(part, as_of)
    if until is None or part.event_time is None:
        return
    rows, earliest = 0, None
    for batch in batches:
        if part.event_time not in batch.column_names:
            return
        first = pc.min(to_timestamp(batch[part.event_time].combine_chunks()).values).as_py()
        rows += batch.num_rows
        if first is None and batch.num_rows:
            return
        if first is not None:
            if first <= until:
                return
            earliest = first if earliest is None else min(earliest, first)
    if earliest is not None:
        known_from = compute_known_from(earliest, as_of - until)
        raise SourceError(
            _describe_all_later(rows, f" of {name}", as_of, known_from), hint=_suggest_as_of(known_from)
        )


def _describe_all_later(rows: int, whose: str, as_of: datetime, earliest: datetime) -> str:
    return (
        f"all {rows:,} rows{whose} lie after as_of {_format_moment(as_of)}: nothing to load; "
        f"the earliest is known from {_format_moment(earliest)} on"
    )


def _suggest_as_of(earliest: datetime, now: datetime | None = None) -> str:
    if earliest <= (now or datetime.now(UTC)):
        after = earliest + timedelta(seconds=1)
        return f"give --as-of after it, such as {after:%Y-%m-%dT%H:%M:%S}"
    return (
        "an ingest after that time loads them; if the column of event_time is not when a row was true,"
        " declare another one, or none (evergreen new without --time)"
    )


def _format_moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
