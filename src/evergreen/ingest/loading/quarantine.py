"""Rows that broke a row-level check of a partial load: kept as they came, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from evergreen.store.tables.platform import QUARANTINE

if TYPE_CHECKING:
    from evergreen.validation.checker import RejectedRow

_ROWS = 500


def add_rejected_rows(
    connection: sa.Connection, run_id: str, part: str, rejected: Iterable[RejectedRow]
) -> int:
    """Keep those rows of one part of a run, in place of what was kept; how many. The transaction is the
    caller's."""
    mine = (QUARANTINE.c.ingest_run_id == run_id, QUARANTINE.c.part == part)
    connection.execute(sa.delete(QUARANTINE).where(*mine))
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
) -> list[dict[str, Any]]:
    """The first `limit` rows kept of a run, or of one of its parts, JSON-able:
    {"part", "row" (of the rows read, from 1), "reasons": [text], "content": {column: text or None}}."""
    statement = sa.select(QUARANTINE).where(QUARANTINE.c.ingest_run_id == run_id)
    if part is not None:
        statement = statement.where(QUARANTINE.c.part == part)
    statement = statement.order_by(QUARANTINE.c.part, QUARANTINE.c.source_row).limit(limit)
    with engine.connect() as connection:
        return [
            {
                "part": row.part,
                "row": row.source_row,
                "reasons": json.loads(row.reasons),
                "content": json.loads(row.content),
            }
            for row in connection.execute(statement)
        ]


def _split_into_groups(rejected: Iterable[RejectedRow]) -> Iterator[list[RejectedRow]]:
    rows = iter(rejected)
    while group := list(islice(rows, _ROWS)):
        yield group
