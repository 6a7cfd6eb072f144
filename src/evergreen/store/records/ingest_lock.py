"""The lock of an ingest run: whoever works on the run holds it, and MariaDB frees it when that process dies.

So a run of status `extracting` whose lock is free was interrupted, on whatever machine it ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.locks import hold_lock, is_locked

if TYPE_CHECKING:
    from evergreen.store.records.ingest_run import IngestRun

# Statuses that one process sets at its start and another one at its end, both under the lock.
_UNDER_WAY = ("extracting",)
_WAIT_SECONDS = 5.0


@contextmanager
def hold_ingest_lock(
    engine: sa.Engine, run_id: str, use_case_name: str, seconds: float = _WAIT_SECONDS
) -> Iterator[None]:
    """Be the only process at work on that ingest run.

    Raises StoreError when another one is, for longer than `seconds`; StoreUnreachable.
    """

    def build_refusal() -> StoreError:
        return StoreError(
            f"another process is at work on this very ingest of {use_case_name} (run {run_id})",
            hint="let it end: what it loads need not be loaded again;"
            f" evergreen ingest-runs {use_case_name} shows how far it is",
        )

    with (
        engine.connect() as connection,
        hold_lock(connection, _lock_name(run_id), seconds, idle=True, build_refusal=build_refusal),
    ):
        yield


def find_interrupted_runs(engine: sa.Engine, runs: Iterable[IngestRun]) -> set[str]:
    """The ids of those runs that were begun and not ended, and on which nobody is at work."""
    with engine.connect() as connection:
        return {run.id for run in runs if is_interrupted(connection, run.id, run.status)}


def is_interrupted(connection: sa.Connection, run_id: str, status: str) -> bool:
    """Whether a run of that status was begun and not ended, and nobody is at work on it."""
    return status in _UNDER_WAY and not is_locked(connection, _lock_name(run_id))


def _lock_name(run_id: str) -> str:
    return f"ingest_run.{run_id}"
