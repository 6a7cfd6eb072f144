"""Server and process in a zone with summer time: moments are UTC, and no hour is missed or taken twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from evergreen.ingest.loading import load
from evergreen.settings import Settings
from evergreen.store.connection.database import (
    dispose_engines,
    get_bulk_engine,
    get_engine,
    get_fast_engine,
)
from evergreen.store.history.training_set import TrainingSet, read_training_set
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.ingest_run import list_ingests, start_ingest
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase
from support.own_servers import Database, private_mariadb

BERLIN = "Europe/Berlin"
# The end of summer time: 02:30 is there twice; its beginning: 02:30 is not there at all.
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
SPRING = datetime(2027, 3, 28, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A MariaDB in Berlin's zone, as an administrator may have set one up, and so is this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", BERLIN)
        time.tzset()
        with private_mariadb(tmp_path_factory.mktemp("berlin")) as running:
            running.administer("SET GLOBAL time_zone = 'SYSTEM'")  # the embedded server's own is UTC
            yield running
    time.tzset()


@pytest.fixture
def database(server: Database, toy_use_case: UseCase) -> Iterator[sa.Engine]:
    with server.empty_database() as name:
        settings = Settings(
            mariadb_port=server.server.port,
            mariadb_user=server.server.user,
            mariadb_password=SecretStr(server.server.password),
            mariadb_database=name,
        )
        store = get_engine(settings)
        apply_migrations(store)
        create_tables(store, toy_use_case)
        yield store
        dispose_engines(settings)


class Clock:
    """The clock of the server, as each connection of the database's engines is told it."""

    def __init__(self, database: sa.Engine) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        for engine in {database, get_fast_engine(database), get_bulk_engine(database)}:
            sa.event.listen(engine, "checkout", self._tell)

    def _tell(self, connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SET timestamp = %s", (self.now.timestamp(),))
        cursor.close()


def test_the_server_is_in_berlin(server: Database) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@time_zone, HOUR(FROM_UNIXTIME(0))")
        assert cursor.fetchone() == ("SYSTEM", 1)


@pytest.mark.parametrize("change", [AUTUMN, SPRING], ids=["autumn", "spring"])
def test_what_was_read_before_the_change_is_read_again_after_it(
    change: datetime,
    database: sa.Engine,
    toy_use_case: UseCase,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
) -> None:
    """Versions half an hour before the change, after it (in autumn at the same wall time), and later."""
    clock = Clock(database)
    as_of = change + timedelta(days=1)
    read: dict[datetime, TrainingSet] = {}
    for seed, minutes in enumerate((-30, 30, 90)):
        clock.now = change + timedelta(minutes=minutes)
        run = start_ingest(database, toy_use_case, change + timedelta(hours=seed))
        load.load_parts(database, toy_use_case, run.id, toy_frames(120, seed=seed))
        clock.now += timedelta(minutes=1)
        seen = read_training_set(database, toy_use_case, as_of)
        assert seen.read_at == clock.now
        read[seen.read_at] = seen
    assert len({seen.digest for seen in read.values()}) == 3
    for moment, seen in read.items():
        assert read_training_set(database, toy_use_case, as_of, read_at=moment).digest == seen.digest
        almost = moment + timedelta(minutes=58)
        assert read_training_set(database, toy_use_case, as_of, read_at=almost).digest == seen.digest


def test_event_times_of_the_hours_of_a_change_stay_apart(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Callable[..., dict[str, pd.DataFrame]]
) -> None:
    """Facts at each half hour around both changes come back as they went in."""
    moments = [
        change + timedelta(minutes=30 * step)
        for change in (datetime(2025, 10, 26, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC))
        for step in range(-4, 5)
    ]
    frames = toy_frames(len(moments))
    for frame in frames.values():
        frame["client_id"] = 1
        frame["event_time"] = pd.Series(moments).astype("datetime64[us, UTC]")
    as_of = datetime(2026, 7, 1, tzinfo=UTC)
    run = start_ingest(database, toy_use_case, as_of)
    load.load_parts(database, toy_use_case, run.id, frames)
    table = read_training_set(database, toy_use_case, as_of).table
    assert sorted(table["event_time"].to_pylist()) == moments
    assert table["visits"].to_pylist() == [
        float(visits) for _, visits in sorted(zip(moments, frames["facts"]["visits"], strict=True))
    ]
    [listed] = list_ingests(database, toy_use_case)
    assert listed.as_of == as_of
