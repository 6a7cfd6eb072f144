"""The lock that is held while a use case's champion is changed or compared with the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock

# The default purpose: the lock that trainings of earlier versions hold, which may still run during an update.
PURPOSE = "training"


@contextmanager
def lock_use_case(
    database: sa.Engine, use_case_name: str, seconds: float = 300.0, *, purpose: str = PURPOSE
) -> Iterator[None]:
    """Hold the lock of that use case during the block; one holder at a time, on whatever machine.

    It is MariaDB's lock on a connection of its own, so it cannot be taken again within the block. Another
    `purpose` is another lock, for work that does not touch the champion. Raises StoreError when another
    session holds it longer than `seconds`, StoreUnreachable.
    """
    with database.connect() as connection, hold_lock(connection, f"{purpose}.{use_case_name}", seconds):
        yield


@contextmanager
def lock_use_cases(
    database: sa.Engine, use_case_names: Collection[str], seconds: float = 300.0
) -> Iterator[None]:
    """Hold the locks of several use cases during the block, all on one connection, taken in one order.

    Raises what `lock_use_case` raises.
    """
    with database.connect() as connection, ExitStack() as locks:
        for name in sorted(use_case_names):
            locks.enter_context(hold_lock(connection, f"{PURPOSE}.{name}", seconds))
        yield
