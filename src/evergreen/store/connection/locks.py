"""Locks of the database by name, which all processes on all machines see.

MariaDB frees a lock when the connection of its holder ends, so that no killed process leaves one behind.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from evergreen.errors import EvergreenError, StoreError, StoreUnreachable

logger = logging.getLogger(__name__)

# MariaDB is asked in short steps: the driver gives up on a statement that answers nothing for long.
_ASK_SECONDS = 5.0
_IDLE_SECONDS = 30 * 86_400


@contextmanager
def hold_lock(
    connection: sa.Connection,
    name: str,
    seconds: float = 300.0,
    *,
    idle: bool = False,
    on_wait: Callable[[], None] | None = None,
    build_refusal: Callable[[], EvergreenError] | None = None,
) -> Iterator[None]:
    """Hold the database-wide lock `name` meanwhile. A connection may hold the same lock more than once.

    MariaDB's lock names have 192 characters: room for any database, any use case, and 70 more.

    `idle` is for a connection of the lock's own that nothing is asked of meanwhile: the server does not end
    it for being idle, and a server that is gone at the end is only logged, for the lock is free then.
    `on_wait` is called once when another session holds the lock. When that one keeps it longer than
    `seconds`, raises the error of `build_refusal`, by default a StoreError.
    """
    _acquire_lock(connection, name, seconds, on_wait, build_refusal)
    if idle:
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {_IDLE_SECONDS}")
        connection.rollback()
    try:
        yield
    finally:
        try:
            _release_lock(connection, name, idle)
        except StoreUnreachable:
            if not idle:
                raise
            logger.warning("MariaDB went away while the lock %s was held", name)


def is_locked(connection: sa.Connection, name: str) -> bool:
    """Whether some session holds the database-wide lock `name`."""
    statement = sa.select(sa.func.is_used_lock(_build_lock_name(connection, name)))
    return connection.execute(statement).scalar() is not None


def _acquire_lock(
    connection: sa.Connection,
    name: str,
    seconds: float,
    on_wait: Callable[[], None] | None,
    build_refusal: Callable[[], EvergreenError] | None,
) -> None:
    full_name = _build_lock_name(connection, name)
    end = time.monotonic() + seconds
    ask_seconds = 0.0
    while connection.execute(sa.select(sa.func.get_lock(full_name, ask_seconds))).scalar() != 1:
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise build_refusal() if build_refusal else _build_default_refusal(name, seconds)
        if ask_seconds == 0.0 and on_wait is not None:
            on_wait()
        ask_seconds = min(_ASK_SECONDS, remaining)


def _release_lock(connection: sa.Connection, name: str, idle: bool) -> None:
    if connection.invalidated or connection.closed:
        return
    connection.execute(sa.select(sa.func.release_lock(_build_lock_name(connection, name))))
    if idle:
        connection.exec_driver_sql("SET SESSION wait_timeout = DEFAULT")


def _build_default_refusal(name: str, seconds: float) -> StoreError:
    return StoreError(
        f"another session has been working on {name} for {seconds:.0f} s",
        hint="wait for it, or end it: SHOW PROCESSLIST tells who it is",
    )


def _build_lock_name(connection: sa.Connection, name: str) -> str:
    return f"evergreen.{connection.engine.url.database}.{name}"
