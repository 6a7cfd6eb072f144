"""Facts about a table that need no scan: whether it has changed, and how far back its history reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.errors import HistoryExpired, StoreError
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.tables.platform import CATALOGUE_TABLES, STORE_STATE

# MariaDB gives the moment of the last change in whole seconds, by a coarse clock.
_RESOLUTION = timedelta(seconds=2)
_WAIT_SECONDS = 900.0


@dataclass(frozen=True)
class TableState:
    """A table's state, read at one moment of the server's clock. Moments are aware UTC.

    `changes` counts the changes that Evergreen made; `created` and `updated` (None after a restart of the
    server until the next change) are MariaDB's and cover everybody's. `rows` is an estimate.
    """

    name: str
    changes: int
    created: datetime
    updated: datetime | None
    history_from: datetime | None
    rows: int

    @property
    def token(self) -> str:
        """A text that is equal in two states if nobody changed the table between them; see `settled`."""
        return f"{self.changes}|{self.created.isoformat()}|{self.updated and self.updated.isoformat()}"

    def settled(self, at: datetime) -> bool:
        """Whether no change after the token's could have the same token: the last one is old enough, at a
        moment of the server's clock, that MariaDB's resolution of seconds tells a later one apart."""
        return self.updated is not None and max(self.created, self.updated) + _RESOLUTION <= at


def read_states(connection: sa.Connection, names: Sequence[str]) -> dict[str, TableState]:
    """The states of those tables that exist, as they are now. Ends the connection's transaction."""
    connection.rollback()
    # Before the first migration there is none.
    records = execute_if_table_exists(
        connection, sa.select(STORE_STATE).where(STORE_STATE.c.table_name.in_(list(names)))
    )
    facts = {record.table_name: (record.changes, record.history_from) for record in records}
    catalogue = CATALOGUE_TABLES.c
    tables = connection.execute(
        sa.select(
            catalogue.table_name, catalogue.create_time, catalogue.update_time, catalogue.table_rows
        ).where(catalogue.table_schema == sa.func.database(), catalogue.table_name.in_(list(names)))
    )
    states = {}
    for name, created, updated, rows in tables:
        changes, history = facts.get(name, (0, None))
        states[name] = TableState(
            name=name,
            changes=changes,
            created=to_aware_utc(created),
            updated=to_aware_utc(updated) if updated else None,
            history_from=to_aware_utc(history) if history else None,
            rows=rows or 0,
        )
    connection.rollback()
    return states


def count_change(connection: sa.Connection, name: str) -> None:
    """Count one more change of a table, in the transaction that makes it, so that cached copies are stale."""
    insert = sa.dialects.mysql.insert(STORE_STATE).values(table_name=name, changes=1)
    connection.execute(insert.on_duplicate_key_update(changes=STORE_STATE.c.changes + 1))


def find_settled_moment(
    connection: sa.Connection, use_case_name: str, names: Sequence[str]
) -> tuple[datetime, dict[str, TableState]]:
    """A moment of the server's clock (aware UTC) with no load of the use case in flight, and the states then.

    What is read FOR SYSTEM_TIME AS OF it is always the same, unless others than Evergreen write the tables.
    Waits for a load that is on its way. Raises StoreError when that takes longer than 15 minutes.
    """
    with hold_lock(connection, f"ingest.{use_case_name}", _WAIT_SECONDS):
        states = read_states(connection, names)
        now = connection.exec_driver_sql("SELECT NOW(6)").scalar_one()
    return to_aware_utc(now), states


def check_history_kept(states: Mapping[str, TableState], at: datetime) -> None:
    """Raise HistoryExpired when a table no longer has all rows of that moment."""
    for state in states.values():
        if state.history_from is not None and state.history_from > at:
            raise HistoryExpired(
                f"table {state.name} no longer has the rows of {at.isoformat()}:"
                f" what ended before {state.history_from.isoformat()} is deleted",
                hint="EVERGREEN_HISTORY_DAYS says how long such rows are kept",
            )


def check_tables_exist(states: Mapping[str, TableState], names: Sequence[str]) -> None:
    """Raise StoreError naming the first table that does not exist."""
    for name in names:
        if name not in states:
            raise StoreError(f"table {name} is not there", hint="ingest first, which makes the tables")
