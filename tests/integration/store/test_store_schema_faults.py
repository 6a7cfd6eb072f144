"""Tables follow a changed declaration while others use them, and when the process dies; real MariaDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from evergreen.errors import EvergreenError, StoreError
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations import alter
from evergreen.store.tables import evolve
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.usecase import Feature, UseCase
from support.toy_schema import FACTS, declaring, fill, rows


@pytest.fixture
def loaded(database: sa.Engine, toy_use_case: UseCase) -> sa.Engine:
    """The toy's tables with `toy_schema.fill`."""
    fill(database, toy_use_case)
    return database


def test_two_at_a_time_wait_for_each_other(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    other = declaring(toy_use_case, Feature("age", "float", ""), without=("mood",))
    with ThreadPoolExecutor(3) as pool:
        done = pool.map(lambda _: len(apply_declaration(loaded, other, allow_destructive=True)), range(3))
    assert sorted(done) == [0, 0, 6]
    assert rows(loaded, "SELECT COUNT(*) FROM retired_column") == [(6,)]


class Killed(BaseException):
    """As if the process had died: nothing of ours runs after it."""


def test_killed_at_any_statement_a_second_run_ends_the_work(
    loaded: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = declaring(
        toy_use_case,
        Feature("age", "float", ""),
        Feature("height", "float", ""),
        without=("mood",),
    )
    real = alter.alter_table
    left = 0

    def dying(connection: sa.Connection, table: str, change: str) -> None:
        nonlocal left
        left -= 1
        # Half the deaths come before the statement, half after it.
        if left < 0:
            raise Killed
        real(connection, table, change)
        if left == 0 and survived % 2:
            raise Killed

    monkeypatch.setattr(evolve, "alter_table", dying)
    for survived in range(60):
        left = survived
        try:
            apply_declaration(loaded, other, allow_destructive=True)
            break
        except Killed:
            continue
    else:
        pytest.fail("it never came to its end")
    assert survived > 3
    monkeypatch.undo()
    assert diff_tables(loaded, other) == []
    assert rows(loaded, f"SELECT age FROM {FACTS} ORDER BY 1") == [(40.0,), (41.0,), (50.0,)]
    # Each column is written down once, under the name that it has, and nothing half-done is left.
    written = rows(loaded, "SELECT table_name, retired_as FROM retired_column ORDER BY 1, 2")
    standing = rows(
        loaded,
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND column_name LIKE '\\_%%' ORDER BY 1, 2",
    )
    assert written == standing
    assert len(written) == 6


def test_a_table_that_is_in_use_is_told(
    loaded: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alter, "_PATIENCE_SECONDS", 1.0)
    with loaded.connect() as reader:
        reader.exec_driver_sql(f"SELECT * FROM {FACTS}").all()
        with pytest.raises(StoreError, match="in use by another session"):
            apply_declaration(loaded, declaring(toy_use_case, without=("mood",)), allow_destructive=True)
    assert apply_declaration(loaded, declaring(toy_use_case, without=("mood",)), allow_destructive=True)


def test_a_table_without_room_is_told(settings: Settings, toy_use_case: UseCase) -> None:
    """The longest declarable row, then all of it retyped: what is put aside takes room as well."""
    database = get_engine(settings)
    many = [f"wide_{number}" for number in range(55)]
    apply_declaration(database, declaring(toy_use_case, *(Feature(name, "category", "") for name in many)))
    texts = declaring(toy_use_case, *(Feature(name, "category", "") for name in (f"{m}_b" for m in many)))
    with pytest.raises(EvergreenError, match="no room for another column"):
        apply_declaration(database, texts, allow_destructive=True)
