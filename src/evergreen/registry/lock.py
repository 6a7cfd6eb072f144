"""One at a time: whoever changes the champion of a use case, or judges who changed it, holds this lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock


@contextmanager
def lock_use_case(
    database: sa.Engine, use_case: str, seconds: float = 300.0, *, purpose: str = "training"
) -> Iterator[None]:
    """Let one caller at a time change the registry for a use case; the others wait their turn.

    Another `purpose` is another lock: what does not touch the champion need not wait for who does.
    Raises StoreError when another keeps it longer than `seconds`.
    """
    # The default is the name that trainings of earlier versions hold, which may still run during an update.
    with database.connect() as connection, hold_lock(connection, f"{purpose}.{use_case}", seconds):
        yield
