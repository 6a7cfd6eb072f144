"""Rows on their way from extract to validate to load, on whatever machines: Parquet in MariaDB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from evergreen.store.tables.platform import INGEST_BATCH, INGEST_RUN

if TYPE_CHECKING:
    import pyarrow as pa

# Well below the 16 MB that MariaDB takes in one packet as it comes, also when escaping doubles some bytes.
CHUNK_BYTES = 6 * 1024 * 1024


def append_staged_rows(engine: sa.Engine, run_id: str, part: str, number: int, table: pa.Table) -> int:
    """Keep a table as chunk `number` and following of a part of a run; the number after its last chunk."""
    with engine.begin() as connection:
        for rows, payload in _split_into_chunks(table):
            connection.execute(
                sa.insert(INGEST_BATCH).values(
                    ingest_run_id=run_id, part=part, chunk=number, row_count=rows, payload=payload
                )
            )
            number += 1
    return number


def read_staged_batches(engine: sa.Engine, run_id: str, part: str) -> Iterator[pa.Table]:
    """The tables kept as `part` of a run, in their order; nothing when there are none."""
    import pyarrow.parquet as pq

    statement = (
        sa.select(INGEST_BATCH.c.chunk, INGEST_BATCH.c.payload)
        .where(INGEST_BATCH.c.ingest_run_id == run_id, INGEST_BATCH.c.part == part)
        .order_by(INGEST_BATCH.c.chunk)
        .limit(1)
    )
    last = -1
    # One chunk in memory at a time, and no connection kept open in between.
    while True:
        with engine.connect() as connection:
            found = connection.execute(statement.where(INGEST_BATCH.c.chunk > last)).one_or_none()
        if found is None:
            return
        last = found.chunk
        yield pq.read_table(io.BytesIO(found.payload), use_threads=False)


def drop_staged_rows(connection: sa.Connection, run_id: str) -> None:
    """Forget what is kept of a run, within the caller's transaction."""
    connection.execute(sa.delete(INGEST_BATCH).where(INGEST_BATCH.c.ingest_run_id == run_id))


def drop_abandoned_rows(connection: sa.Connection, use_case: str, days: int = 7) -> None:
    """Forget the rows of runs of a use case that nobody has gone on with for so long; see
    `drop_staged_rows`.
    """
    limit = sa.func.timestampadd(sa.text("DAY"), -days, sa.func.utc_timestamp(6))
    abandoned = sa.select(INGEST_RUN.c.id).where(
        INGEST_RUN.c.use_case == use_case, INGEST_RUN.c.started_at < limit
    )
    connection.execute(sa.delete(INGEST_BATCH).where(INGEST_BATCH.c.ingest_run_id.in_(abandoned)))


def _split_into_chunks(table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """The table as Parquet, halved until each piece is small enough."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    payload = buffer.getvalue()
    if len(payload) <= CHUNK_BYTES or table.num_rows <= 1:
        yield table.num_rows, payload
        return
    middle = table.num_rows // 2
    yield from _split_into_chunks(table.slice(0, middle))
    yield from _split_into_chunks(table.slice(middle))
