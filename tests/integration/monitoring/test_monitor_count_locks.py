"""Counts that several processes change at once: none of them waits for another in a circle; real MariaDB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa

from evergreen.store.predictions.counts import delete_counts
from evergreen.store.predictions.hour_counts import BinnedRows, HourKey, lock_hour, write_hour
from support.toy_schema import rows
from support.waiting import eventually

NOON = datetime(2026, 6, 10, 12)  # noqa: DTZ001  naive UTC, as the tables have it
BINNED = BinnedRows("0" * 32, {("", "age"): [1, 2], ("", "mood"): [3, 0]})


def run(task: Callable[[], object]) -> tuple[threading.Thread, list[Exception]]:
    """Begin a task in a thread; what it raises is listed."""
    faults: list[Exception] = []

    def target() -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001  the test tells all of them
            faults.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    return thread, faults


def is_deleting(database: sa.Engine) -> bool:
    """Whether a connection of this user deletes hours, or waits for their locks."""
    doing = "information_schema.processlist WHERE info LIKE 'DELETE FROM prediction_hour%%'"
    return bool(rows(database, f"SELECT 1 FROM {doing}"))


def test_counts_are_deleted_while_an_hour_is_counted(database: sa.Engine) -> None:
    key = HourKey(1, "online", NOON)
    with database.begin() as connection:
        lock_hour(connection, "toy", key)
        write_hour(connection, "toy", key, 3, BINNED)
    with database.connect() as connection:
        lock_hour(connection, "toy", key)
        before = NOON.replace(tzinfo=UTC) - timedelta(days=1)
        thread, faults = run(lambda: delete_counts(database, "toy", before))
        eventually(lambda: is_deleting(database))
        write_hour(connection, "toy", key, 6, BINNED)
        connection.commit()
    thread.join()
    assert faults == []


def test_two_use_cases_without_counts_are_counted_at_once(database: sa.Engine) -> None:
    both = threading.Barrier(2)

    def count(use_case_name: str) -> None:
        key = HourKey(1, "online", NOON)
        with database.connect() as connection:

            @sa.event.listens_for(connection, "after_execute")
            def meet(_: object, statement: object, *__: object) -> None:
                if isinstance(statement, sa.Delete):
                    both.wait(20)

            lock_hour(connection, use_case_name, key)
            write_hour(connection, use_case_name, key, 3, BINNED)
            connection.commit()

    tasks = [run(partial(count, name)) for name in ("one", "two")]
    for thread, _ in tasks:
        thread.join()
    assert [faults for _, faults in tasks] == [[], []]
