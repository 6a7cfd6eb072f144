"""Changes of a table's description while others use the table.

Such a statement waits for every open transaction that has touched the table, and all later statements of
others wait behind it. So it waits for a second at most, lets them pass, and is tried again.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.database import get_error_code
from evergreen.store.connection.faults import DEADLOCK, LOCK_WAIT_TIMEOUT

_LOCK_SECONDS = 1
_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = (0.2, 2.0)  # the first pause and the longest one


def alter_table(connection: sa.Connection, table: str, change: str) -> None:
    """Execute `ALTER TABLE table change`, tried again while another session keeps the table.

    Names in `change` come from a checked declaration or the database's own catalogue. MariaDB makes the
    change completely or not at all. Raises StoreError when a session has kept the table for five minutes.
    """
    # Versioned tables refuse a change unless told that the rows of the past may change their columns too.
    session = f"system_versioning_alter_history = KEEP, lock_wait_timeout = {_LOCK_SECONDS}"
    statement = f"SET STATEMENT {session} FOR ALTER TABLE `{table}` {change}"
    end = time.monotonic() + _PATIENCE_SECONDS
    pause, longest_pause = _PAUSE_SECONDS
    while True:
        # The caller's own transaction must not be one of those that the statement waits for.
        connection.rollback()
        try:
            connection.exec_driver_sql(statement.replace("%", "%%"))
            return
        except (StoreError, sa.exc.DBAPIError) as error:
            if get_error_code(error) not in (LOCK_WAIT_TIMEOUT, DEADLOCK):
                raise
            if time.monotonic() > end:
                raise StoreError(
                    f"table {table} was in use by another session for {_PATIENCE_SECONDS:.0f} s",
                    hint="end it (SHOW PROCESSLIST tells who it is) and run this again: it goes on",
                ) from error
        time.sleep(pause)
        pause = min(longest_pause, 2 * pause)
