"""A whole table as it was at one moment of the system's clock, in parts that follow its primary key."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from evergreen.store.connection.arrow import format_sql_literal, read_arrow
from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.history.query import TableSelection
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME

KEY_RANGE_ROWS = 130_000
_AT_ONCE = 4  # queries: more do not make two cores faster, and each takes a connection
_WORTH_DIVIDING = 60_000


def find_key_bounds(engine: sa.Engine, online: str, key: str, parts: int) -> list[Any]:
    """Values of the first key that divide the keys of an online table into about `parts` equal shares.

    Fewer, or none, where there are not enough different keys or no such table.
    """
    bounds: list[Any] = []
    table = sa.table(online, sa.column(key))
    column = table.c[key]
    with engine.connect() as connection, ignore_missing_table():
        keys = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        step = max(1, keys // parts)
        while len(bounds) < parts - 1:
            # One walk along the primary key in all, a step at a time.
            after = [column > bounds[-1]] if bounds else []
            bound = sa.select(column).where(*after).order_by(column).limit(1).offset(step - 1)
            row = connection.execute(bound).first()
            if row is None:
                break
            bounds.append(row[0])
    return bounds


def read_key_ranges(
    engine: sa.Engine, part: TableSelection, at: datetime | None, bounds: Sequence[Any] = (), where: str = ""
) -> Iterator[pa.Table]:
    """The rows of a table at system time `at` (None: now), sorted by keys and both clocks, in parts.

    A part holds all rows with a first key above the bound before it and up to its own: one chunk a column,
    with the part's schema. While one is in use, the next ones are read.
    """
    statements = [_build_select(part, at, first, last, where) for first, last in _pair_bounds(bounds)]
    groups = [(start, statements[start : start + _AT_ONCE]) for start in range(0, len(statements), _AT_ONCE)]
    with ThreadPoolExecutor(1) as ahead:
        reading = [ahead.submit(read_arrow, engine, groups[0][1], part.schema)]
        for number, (start, group) in enumerate(groups):
            rows = reading.pop().result()
            if number + 1 < len(groups):
                reading.append(ahead.submit(read_arrow, engine, groups[number + 1][1], part.schema))
            yield from _split_by_bounds(rows, bounds[start : start + len(group) - 1])


def choose_range_count(rows: int) -> int:
    """Into how many parts a table of about so many rows is best divided: whole groups of queries, for one
    that is read alone leaves a core idle."""
    return 1 if rows < _WORTH_DIVIDING else _AT_ONCE * -(-rows // (_AT_ONCE * KEY_RANGE_ROWS))


def build_key_conditions(
    keys: Sequence[str], after: Sequence[Any] | None, until: Sequence[Any] | None
) -> list[str]:
    """SQL conditions for key tuples greater than `after` and up to `until`; None: no bound."""
    conditions = []
    if after is not None:
        conditions += [
            f"`{keys[0]}` >= {format_sql_literal(after[0])}",
            _compare_keys(keys, after, ">", "FALSE"),
        ]
    if until is not None:
        conditions += [
            f"`{keys[0]}` <= {format_sql_literal(until[0])}",
            _compare_keys(keys, until, "<", "TRUE"),
        ]
    return conditions


def _compare_keys(keys: Sequence[str], bound: Sequence[Any], sign: str, equal: str) -> str:
    # Spelled out: MariaDB compares (a, b) > (x, y) without its index.
    if not keys:
        return equal
    name, value = f"`{keys[0]}`", format_sql_literal(bound[0])
    return (
        f"({name} {sign} {value} OR ({name} = {value} AND {_compare_keys(keys[1:], bound[1:], sign, equal)}))"
    )


def _pair_bounds(bounds: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip([None, *bounds], [*bounds, None], strict=True)


def _build_select(part: TableSelection, at: datetime | None, first: Any, last: Any, where: str) -> str:
    key = part.keys[0][0]
    present_names = dict(part.stored)
    names = [*part.key_names, EVENT_TIME, INGESTED_AT, *(present_names.get(n, n) for n in part.column_names)]
    conditions = [where] if where else []
    if first is not None:
        conditions.append(f"`{key}` > {format_sql_literal(first)}")
    if last is not None:
        conditions.append(f"`{key}` <= {format_sql_literal(last)}")
    columns = ", ".join(f"`{name}`" for name in names)
    moment = f" FOR SYSTEM_TIME AS OF {format_sql_literal(at)}" if at is not None else ""
    order = ", ".join(f"`{name}`" for name in (*part.key_names, EVENT_TIME, INGESTED_AT))
    return (
        f"SELECT {columns} FROM `{part.table}`{moment}"  # noqa: S608  checked names
        + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
        + f" ORDER BY {order}"
    )


def _split_by_bounds(rows: pa.Table, bounds: Sequence[Any]) -> Iterator[pa.Table]:
    """Rows of several statements, whose chunks come mixed, statement by statement: one chunk a column."""
    chunks: list[list[pa.RecordBatch]] = [[] for _ in range(len(bounds) + 1)]
    for batch in rows.to_batches():
        if batch.num_rows:
            chunks[bisect.bisect_left(bounds, batch.column(0)[0].as_py())].append(batch)
    for group in chunks:
        yield pa.Table.from_batches(group, rows.schema).combine_chunks()
