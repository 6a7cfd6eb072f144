"""Rows on their way from extract to validate to load, on whatever machines: Parquet in MariaDB."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pandas as pd
import sqlalchemy as sa

from evergreen.errors import StoreError

# Well below the 16 MB that MariaDB takes in one packet as it comes, also when escaping doubles some bytes.
CHUNK_BYTES = 8 * 1024 * 1024

_BATCH = sa.table(
    "ingest_batch",
    *(sa.column(name) for name in ("ingest_run_id", "part", "chunk", "row_count", "payload")),
)


def put(engine: sa.Engine, run_id: str, part: str, frame: pd.DataFrame) -> int:
    """Keep a frame as `part` of a run, in place of what was there; the number of chunks.

    Raises StoreError for a column of mixed types, which Parquet cannot hold.
    """
    try:
        chunks = list(_chunks(frame))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"the rows of {part} cannot be kept as Parquet: {error}",
            hint="make the source give one type per column, for example by a CAST in its query",
        ) from error
    with engine.begin() as connection:
        drop(connection, run_id, part)
        for number, (rows, payload) in enumerate(chunks):
            connection.execute(
                sa.insert(_BATCH).values(
                    ingest_run_id=run_id, part=part, chunk=number, row_count=rows, payload=payload
                )
            )
    return len(chunks)


def get(engine: sa.Engine, run_id: str, part: str) -> pd.DataFrame | None:
    """The frame kept as `part` of a run; None when there is none."""
    statement = (
        sa.select(_BATCH.c.payload)
        .where(_BATCH.c.ingest_run_id == run_id, _BATCH.c.part == part)
        .order_by(_BATCH.c.chunk)
    )
    with engine.connect() as connection:
        payloads = connection.execute(statement).scalars().all()
    if not payloads:
        return None
    return pd.concat([pd.read_parquet(io.BytesIO(payload)) for payload in payloads], ignore_index=True)


def drop(connection: sa.Connection, run_id: str, part: str | None = None) -> None:
    """Forget one part of a run, or all of them, within the caller's transaction."""
    statement = sa.delete(_BATCH).where(_BATCH.c.ingest_run_id == run_id)
    connection.execute(statement if part is None else statement.where(_BATCH.c.part == part))


def _chunks(frame: pd.DataFrame) -> Iterator[tuple[int, bytes]]:
    """The frame as Parquet, halved until each piece is small enough."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    payload = buffer.getvalue()
    if len(payload) <= CHUNK_BYTES or len(frame) <= 1:
        yield len(frame), payload
        return
    middle = len(frame) // 2
    yield from _chunks(frame.iloc[:middle])
    yield from _chunks(frame.iloc[middle:])
