"""Who is at work on an ingest run: a lock of the server's, which is free again when its holder dies.

So a run that says `extracting` while nobody holds its lock was interrupted, on whatever machine it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from evergreen.errors import StoreError, StoreUnreachable

if TYPE_CHECKING:
    from evergreen.store.records.ingest_run import IngestRun

logger = logging.getLogger(__name__)

# Statuses that one process sets at its start and another one at its end, both under the lock.
_UNDER_WAY = ("extracting",)
_WAIT_SECONDS = 5.0
# Nothing is asked of the lock's connection meanwhile: the server must not end it for being idle.
_IDLE_SECONDS = 30 * 86_400


@contextmanager
def hold_ingest_lock(
    engine: sa.Engine, run_id: str, use_case: str, seconds: float = _WAIT_SECONDS
) -> Iterator[None]:
    """Be the only process at work on that ingest run.

    Raises StoreError when another one is, for longer than `seconds`; StoreUnreachable.
    """
    lock = {"name": _build_lock_name(engine, run_id)}
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {_IDLE_SECONDS}")
        got = connection.execute(
            sa.text("SELECT GET_LOCK(:name, :seconds)"), {**lock, "seconds": seconds}
        ).scalar()
        connection.rollback()
        if got != 1:
            raise StoreError(
                f"another process is at work on this very ingest of {use_case} (run {run_id})",
                hint="let it end: what it loads need not be loaded again;"
                f" evergreen ingest-runs {use_case} shows how far it is",
            )
        try:
            yield
        finally:
            try:
                connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), lock)
                connection.exec_driver_sql("SET SESSION wait_timeout = DEFAULT")
            except StoreUnreachable:  # the lock went with the connection; what was done is done
                logger.warning("MariaDB went away during an ingest of %s", use_case)


def find_interrupted_runs(engine: sa.Engine, runs: Iterable[IngestRun]) -> set[str]:
    """The ids of those runs that were begun and not ended, and on which nobody is at work."""
    with engine.connect() as connection:
        return {run.id for run in runs if is_interrupted(connection, run.id, run.status)}


def is_interrupted(connection: sa.Connection, run_id: str, status: str) -> bool:
    """Whether a run of that status was begun and not ended, and nobody is at work on it."""
    if status not in _UNDER_WAY:
        return False
    asked = sa.text("SELECT IS_USED_LOCK(:name)")
    return connection.execute(asked, {"name": _build_lock_name(connection.engine, run_id)}).scalar() is None


def _build_lock_name(engine: sa.Engine, run_id: str) -> str:
    return f"evergreen.{engine.url.database}.ingest_run.{run_id}"
