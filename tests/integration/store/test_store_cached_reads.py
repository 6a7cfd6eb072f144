"""What was last read is read again only while nothing has changed, whoever changes it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.ingest.loading import load as ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history import scan
from evergreen.store.history.cache import wait_for_files
from evergreen.store.history.training_set import TrainingSet, read_training_set
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables import table_state
from evergreen.store.tables.retention import prune_history
from evergreen.usecase import UseCase

JULY = datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)
SETTLED_SECONDS = 3.05  # whole seconds, and two of them


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SELECTs that went to MariaDB."""
    asked: list[str] = []
    real = scan.read_arrow

    def watched(database: sa.Engine, statements: list[str], schema: Any) -> Any:
        asked.extend(statements)
        return real(database, statements, schema)

    monkeypatch.setattr(scan, "read_arrow", watched)
    return asked


def test_nothing_changed_nothing_read_and_any_writer_is_noticed(
    toy_store: Settings, toy_use_case: UseCase, reads: list[str]
) -> None:
    database, folder = get_engine(toy_store), toy_store.cache_folder

    def read(as_of: datetime = JULY) -> tuple[TrainingSet, list[str]]:
        reads.clear()
        found = read_training_set(database, toy_use_case, as_of, cache=folder)
        asked = [word for statement in reads for word in statement.split("`") if "__" in word]
        assert found.digest == read_training_set(database, toy_use_case, as_of, read_at=found.read_at).digest
        return found, asked

    _, asked = read()
    assert sorted(asked) == ["toy__facts", "toy__label"]
    assert not folder.exists() or not list(folder.iterdir()), "kept before it had settled"
    time.sleep(SETTLED_SECONDS)
    first, asked = read()
    assert sorted(asked) == ["toy__facts", "toy__label"]
    again, asked = read()
    assert (asked, again.digest, again.read_at > first.read_at) == ([], first.digest, True)
    # Another moment is another question to the same rows.
    other, asked = read(AUGUST)
    assert (asked, len(other) > len(first)) == ([], False)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE toy__facts SET visits = visits + 1 WHERE client_id = 1")
    changed, asked = read()
    assert (asked, changed.digest != first.digest) == (["toy__facts"], True)
    # The moment before the change is still what it was.
    reads.clear()
    past = read_training_set(database, toy_use_case, JULY, read_at=first.read_at, cache=folder)
    assert past.digest == first.digest
    assert len(reads) == 1


def test_a_cached_read_never_differs_from_the_database(
    toy_store: Settings,
    toy_use_case: UseCase,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
    reads: list[str],
) -> None:
    """Any order of loads, plain SQL, open transactions, tables made anew, deleted history and waiting."""
    database, folder = get_engine(toy_store), toy_store.cache_folder
    chance = random.Random(5)
    frames = toy_frames(60, seed=4)

    def load() -> None:
        moment = chance.choice([JULY - timedelta(days=1), JULY, AUGUST])
        part = chance.choice(["facts", "label"])
        rows = {part: frames[part].sample(20, random_state=chance.randrange(100))}
        ingest.load_parts(database, toy_use_case, start_ingest(database, toy_use_case, moment).id, rows)

    def sql(*statements: str) -> Callable[[], None]:
        def run() -> None:
            with database.begin() as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement.replace("{}", str(chance.randrange(1, 90))))

        return run

    def make_anew() -> None:
        sql(
            "CREATE TABLE copied LIKE toy__facts",
            "INSERT INTO copied SELECT * FROM toy__facts WHERE client_id <> {}",
            "DROP TABLE toy__facts",
            "RENAME TABLE copied TO toy__facts",
        )()

    operations: list[Callable[[], object]] = [
        load,
        sql("UPDATE toy__facts SET age = age + 1 WHERE client_id = {}"),
        sql("UPDATE toy__label SET leaves = 'yes' WHERE client_id = {}"),
        sql("DELETE FROM toy__facts WHERE client_id = {}"),
        lambda: prune_history(database, toy_use_case, 1, datetime.now(UTC) + timedelta(days=1)),
        make_anew,
        lambda: time.sleep(0.4),
    ]
    hits = 0
    with database.connect() as other:
        for step in range(40):
            if step in (8, 22):
                time.sleep(SETTLED_SECONDS)
            elif step == 14:
                other.exec_driver_sql("UPDATE toy__facts SET age = 17 WHERE client_id < 5")
            elif step == 17:
                other.commit()
            elif not (step in (9, 10, 23, 24) or 14 < step < 17):
                chance.choice(operations)()
            reads.clear()
            cached = read_training_set(database, toy_use_case, AUGUST, cache=folder)
            hits += not reads
            plain = read_training_set(database, toy_use_case, AUGUST)
            assert cached.table.equals(plain.table), f"step {step}"
    assert hits >= 4


def test_without_room_nothing_is_kept(
    toy_store: Settings, toy_use_case: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever is there has settled.
    monkeypatch.setattr(table_state, "_RESOLUTION", timedelta(days=-1))
    database = get_engine(toy_store)
    kept = {}
    for megabytes in (0, 1):
        folder = tmp_path / str(megabytes)
        kept[megabytes] = read_training_set(
            database, toy_use_case, JULY, cache=folder, cache_mb=megabytes
        ).digest
        wait_for_files()
        assert len(list(folder.glob("*"))) == 2 * megabytes
    assert kept[0] == kept[1]
