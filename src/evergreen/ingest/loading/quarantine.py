"""The quarantine: rows that broke a row-level check of a partial load, kept as they came, with the reasons.

A load is partial where the contract of a part has `max_rejected_share`: the other rows are loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

import sqlalchemy as sa

from evergreen.store.tables.platform import QUARANTINE

if TYPE_CHECKING:
    from evergreen.validation.checker import RejectedRow

# Rows in one INSERT statement.
_INSERT_ROWS = 500


class QuarantinedRow(TypedDict):
    """A row of the quarantine, JSON-able.

    `row` is its number among the rows that were read, from 1; `content` has the raw values by column.
    """

    part: str
    row: int
    reasons: list[str]
    content: dict[str, str | None]


def add_rejected_rows(
    connection: sa.Connection, run_id: str, part: str, rejected: Iterable[RejectedRow]
) -> int:
    """Write the rejected rows of one part of a run, in place of those written before, within the caller's
    transaction; return their number."""
    rows_of_part = (QUARANTINE.c.ingest_run_id == run_id, QUARANTINE.c.part == part)
    connection.execute(sa.delete(QUARANTINE).where(*rows_of_part))
    count = 0
    for rows in _split_into_groups(rejected):
        connection.execute(
            sa.insert(QUARANTINE),
            [
                {
                    "ingest_run_id": run_id,
                    "part": part,
                    "source_row": row.row,
                    "reasons": json.dumps(row.reasons, ensure_ascii=False),
                    "content": json.dumps(row.content, ensure_ascii=False),
                }
                for row in rows
            ],
        )
        count += len(rows)
    return count


def read_rejected_rows(
    engine: sa.Engine, run_id: str, part: str | None = None, limit: int = 100
) -> list[QuarantinedRow]:
    """The first `limit` rows in quarantine of a run, or of one of its parts."""
    statement = sa.select(QUARANTINE).where(QUARANTINE.c.ingest_run_id == run_id)
    if part is not None:
        statement = statement.where(QUARANTINE.c.part == part)
    statement = statement.order_by(QUARANTINE.c.part, QUARANTINE.c.source_row).limit(limit)
    with engine.connect() as connection:
        return [
            QuarantinedRow(
                part=row.part,
                row=row.source_row,
                reasons=json.loads(row.reasons),
                content=json.loads(row.content),
            )
            for row in connection.execute(statement)
        ]


def _split_into_groups(rejected: Iterable[RejectedRow]) -> Iterator[list[RejectedRow]]:
    rows = iter(rejected)
    while group := list(islice(rows, _INSERT_ROWS)):
        yield group
