"""Rows of the future: what a source already holds of the time after a moment, and what to say of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from evergreen.errors import SourceError
from evergreen.ingest.inputs import Inputs
from evergreen.usecase import FeatureView, FileSource, Label

if TYPE_CHECKING:
    import pyarrow as pa

# Of an entry of IngestRun.inputs: when the earliest row that was held back will be known (ISO, UTC).
KNOWN_FROM = "known_from"


def compute_known_until(part: FeatureView | Label, as_of: datetime) -> datetime | None:
    """The last event time that is known as of a moment; None for a part without. What lies after it is held
    back until a run whose moment has come: nobody may be served what is not true yet.

    A label that a database has recorded is known, whatever its delay: training sets wait for it to be due.
    """
    if part.event_time is None:
        return None
    if isinstance(part, Label):
        return as_of - part.delay if isinstance(part.source, FileSource) else None
    return as_of


def compute_known_from(event_time: datetime, delay: timedelta) -> datetime:
    """When a row that is true at `event_time` (aware UTC) is known; the end of time at the latest."""
    return min(event_time, datetime.max.replace(tzinfo=UTC) - delay) + delay


def describe_future(inputs: Inputs, as_of: datetime, now: datetime | None = None) -> str:
    """What to tell of an ingest in which a part had rows, and all of them are of the future; else "".

    `now` (aware) decides on the advice: an as_of in the future is refused.
    """
    late: dict[str, int] = {}
    read = []
    moments = []
    for name, entries in inputs.items():
        rows, held_back = (sum(entry[field] for entry in entries) for field in ("rows", "held_back"))
        if rows:
            read.append(name)
        if rows and held_back == rows:
            late[name] = rows
            moments += [entry[KNOWN_FROM] for entry in entries if entry.get(KNOWN_FROM)]
    if not late or not moments:
        return ""
    whose = "" if len(late) == len(read) else f" of {', '.join(late)}"
    earliest = datetime.fromisoformat(min(moments))
    return (
        f"{_describe_all_later(max(late.values()), whose, as_of, earliest)}; {_suggest_as_of(earliest, now)}"
    )


def refuse_only_future_rows(
    part: FeatureView | Label, name: str, batches: Iterable[pa.Table], as_of: datetime
) -> None:
    """Raise SourceError if every row of a source lies after `as_of`, before anybody works with it.

    It stops reading at the first row that does not. Rows without a readable time are left to the checks.
    """
    import pyarrow.compute as pc

    from evergreen.validation.casting import to_timestamp

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
        known = compute_known_from(earliest, as_of - until)
        raise SourceError(_describe_all_later(rows, f" of {name}", as_of, known), hint=_suggest_as_of(known))


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
