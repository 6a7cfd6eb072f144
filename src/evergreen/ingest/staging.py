"""Staging: raw rows between the steps of an ingest, as Parquet in the table `ingest_batch`.

The steps extract, validate and load may run on different machines, which share nothing but MariaDB.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from evergreen.store.tables.platform import INGEST_BATCH, INGEST_RUN

# Well below the 16 MB of MariaDB's default for one packet, also when escaping doubles some bytes.
CHUNK_BYTES = 6 * 1024 * 1024


def append_staged_rows(engine: sa.Engine, run_id: str, part: str, number: int, table: pa.Table) -> int:
    """Stage a table as chunk `number` and following of a part of a run; return the number after its last
    chunk."""
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
    """The tables staged as `part` of a run, in their order; nothing when there are none."""
    statement = (
        sa.select(INGEST_BATCH.c.chunk, INGEST_BATCH.c.payload)
        .where(INGEST_BATCH.c.ingest_run_id == run_id, INGEST_BATCH.c.part == part)
        .order_by(INGEST_BATCH.c.chunk)
        .limit(1)
    )
    number = -1
    # One chunk is in memory at a time, and no connection stays open between two of them.
    while True:
        with engine.connect() as connection:
            row = connection.execute(statement.where(INGEST_BATCH.c.chunk > number)).one_or_none()
        if row is None:
            return
        number = row.chunk
        yield pq.read_table(io.BytesIO(row.payload), use_threads=False)


def drop_staged_rows(connection: sa.Connection, run_id: str) -> None:
    """Delete the staged rows of a run, within the caller's transaction."""
    connection.execute(sa.delete(INGEST_BATCH).where(INGEST_BATCH.c.ingest_run_id == run_id))


def drop_abandoned_rows(connection: sa.Connection, use_case_name: str, days: int = 7) -> None:
    """Delete the staged rows of those runs of a use case that began more than `days` days ago, within the
    caller's transaction."""
    limit = sa.func.timestampadd(sa.text("DAY"), -days, sa.func.utc_timestamp(6))
    abandoned = sa.select(INGEST_RUN.c.id).where(
        INGEST_RUN.c.use_case == use_case_name, INGEST_RUN.c.started_at < limit
    )
    connection.execute(sa.delete(INGEST_BATCH).where(INGEST_BATCH.c.ingest_run_id.in_(abandoned)))


def _split_into_chunks(table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """The table as pieces (number of rows, Parquet), halved until each is at most CHUNK_BYTES."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    payload = buffer.getvalue()
    if len(payload) <= CHUNK_BYTES or table.num_rows <= 1:
        yield table.num_rows, payload
        return
    middle = table.num_rows // 2
    yield from _split_into_chunks(table.slice(0, middle))
    yield from _split_into_chunks(table.slice(middle))
