"""Tables follow a changed declaration: what is put aside, what is filled, what is refused; real MariaDB."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.evolve import apply_declaration, diff_tables
from evergreen.store.tables.forget import erase_use_case
from evergreen.usecase import Entity, Feature, Key, UseCase
from support.toy_loads import JULY, JUNE, fact, facts, labels, load
from support.toy_schema import FACTS, LOG, ONLINE, declaring, fill, log_prediction, rows


def changes(database: sa.Engine, use_case: UseCase) -> list[tuple[str, str, str]]:
    return [(change.table, change.column, change.kind) for change in diff_tables(database, use_case)]


@pytest.fixture
def loaded(database: sa.Engine, toy_use_case: UseCase) -> sa.Engine:
    """The toy's tables with `toy_schema.fill`."""
    fill(database, toy_use_case)
    return database


def test_a_fresh_database_lacks_the_tables_and_apply_makes_them(
    settings: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(settings)
    made = [(table.name, "", "create table") for table in build_tables(toy_use_case)]
    assert changes(database, toy_use_case) == made
    assert [(c.table, c.column, c.kind) for c in apply_declaration(database, toy_use_case)] == made
    assert diff_tables(database, toy_use_case) == []
    assert apply_declaration(database, toy_use_case) == []


def test_a_new_feature_is_added_without_leave(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    grown = declaring(toy_use_case, Feature("height", "float", ""))
    assert [(c.table, c.kind, c.declared, c.found) for c in diff_tables(loaded, grown)] == [
        (table, "add", "double", "") for table in (FACTS, ONLINE, LOG)
    ]
    before = rows(loaded, f"SELECT COUNT(*) FROM {FACTS} FOR SYSTEM_TIME ALL")
    assert len(apply_declaration(loaded, grown)) == 3
    assert diff_tables(loaded, grown) == []
    assert rows(loaded, f"SELECT COUNT(*) FROM {FACTS} FOR SYSTEM_TIME ALL") == before
    load(loaded, grown, JULY, {"facts": facts(fact(3, JULY, 1.0)).assign(height=1.5)})
    assert rows(loaded, f"SELECT height FROM {ONLINE} ORDER BY client_id") == [(None,), (None,), (1.5,)]


@pytest.mark.parametrize("what", ["drop", "retype"])
def test_what_loses_something_needs_leave_and_the_refusal_changes_nothing(
    what: str, loaded: sa.Engine, toy_use_case: UseCase
) -> None:
    new = Feature("height", "float", "")
    changed = (
        declaring(toy_use_case, new, without=("mood",))
        if what == "drop"
        else declaring(toy_use_case, new, Feature("mood", "int", "", max_null_share=0.5))
    )
    before = diff_tables(loaded, changed)
    with pytest.raises(SchemaMismatch, match="toy__facts, column mood") as raised:
        apply_declaration(loaded, changed)
    assert "evergreen apply toy --allow-destructive" in raised.value.hint
    assert diff_tables(loaded, changed) == before
    with pytest.raises(SchemaMismatch) as told:
        create_tables(loaded, changed)
    assert "evergreen apply toy --allow-destructive" in told.value.hint


def test_a_dropped_feature_goes_aside_with_its_values(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    fewer = declaring(toy_use_case, without=("mood",))
    moment = rows(loaded, "SELECT NOW(6)")[0][0]
    assert {(c.table, c.kind) for c in apply_declaration(loaded, fewer, allow_destructive=True)} == {
        (table, "drop") for table in (FACTS, ONLINE, LOG)
    }
    assert diff_tables(loaded, fewer) == []
    assert create_tables(loaded, fewer) == []
    aside = "_retired_1_mood"
    assert rows(loaded, f"SELECT `{aside}` FROM {FACTS} ORDER BY client_id") == [("fine",), ("fine",), ("7",)]
    written = rows(
        loaded,
        "SELECT table_name, column_name, retired_as, column_type FROM retired_column ORDER BY table_name",
    )
    assert written == [(table, "mood", aside, "varchar(255)") for table in (FACTS, ONLINE, LOG)]
    assert rows(loaded, f"SELECT COUNT(*) FROM retired_column WHERE retired_at < '{moment}'") == [(0,)]
    # The store goes on: rows without the column load, the log takes predictions.
    load(loaded, fewer, JULY, {"facts": facts(fact(3, JULY, 1.0)).drop(columns="mood")})
    log_prediction(loaded)
    assert rows(loaded, f"SELECT COUNT(*) FROM {ONLINE}") == [(3,)]


def test_a_dropped_feature_declared_again_begins_empty(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    apply_declaration(loaded, declaring(toy_use_case, without=("mood",)), allow_destructive=True)
    apply_declaration(loaded, toy_use_case)
    assert rows(loaded, f"SELECT mood, `_retired_1_mood` FROM {ONLINE} ORDER BY client_id") == [
        (None, "fine"),
        (None, "7"),
    ]
    apply_declaration(loaded, declaring(toy_use_case, without=("mood",)), allow_destructive=True)
    aside = rows(
        loaded, f"SELECT retired_as FROM retired_column WHERE table_name = '{FACTS}' ORDER BY retired_at"
    )
    assert aside == [("_retired_1_mood",), ("_retired_2_mood",)]


def test_a_retyped_feature_keeps_what_the_new_type_holds(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    """In the rows of now, in versions that were overwritten, in the online table and in the log."""
    with loaded.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {FACTS} WHERE client_id = 2")
    versions = rows(loaded, f"SELECT COUNT(*) FROM {FACTS} FOR SYSTEM_TIME ALL")
    other = declaring(
        toy_use_case, Feature("age", "float", ""), Feature("mood", "int", "", max_null_share=0.5)
    )
    apply_declaration(loaded, other, allow_destructive=True)
    assert diff_tables(loaded, other) == []
    everything = f"SELECT client_id, age, mood, `_retired_1_age` FROM {FACTS} FOR SYSTEM_TIME ALL"
    found = rows(loaded, f"{everything} ORDER BY client_id, age")
    assert found == [(1, 40.0, None, 40), (1, 41.0, None, 41), (2, 50.0, 7, 50)]
    assert rows(loaded, f"SELECT COUNT(*) FROM {FACTS} FOR SYSTEM_TIME ALL") == versions
    assert rows(loaded, f"SELECT age, mood FROM {ONLINE} ORDER BY client_id") == [(41.0, None), (50.0, 7)]
    assert rows(loaded, f"SELECT age FROM {LOG}") == [(40.0,)]
    types = "SELECT data_type, extra FROM information_schema.columns WHERE table_schema = DATABASE()"
    assert rows(loaded, f"{types} AND table_name = '{FACTS}' AND column_name = 'age'") == [("double", "")]
    load(loaded, other, JULY, {"facts": facts(fact(3, JULY, 1.5)).assign(mood=float("nan"))})
    assert rows(loaded, f"SELECT age FROM {ONLINE} WHERE client_id = 3") == [(1.5,)]


_BIG = "9" * 30
_ARABIC_SEVEN = "\N{ARABIC-INDIC DIGIT SEVEN}"


@pytest.mark.parametrize(
    ("before", "values", "after", "expected"),
    [
        ("int", [7, -(2**53), 2**53 + 1, -(2**63), None], "float", [7.0, -(2.0**53), None, None, None]),
        ("int", [7, -(2**63)], "category", ["7", str(-(2**63))]),
        ("float", [7.0, -0.5, 1e300, 2.0**62, -3.0], "int", [7, None, None, 2**62, -3]),
        ("float", [1 / 3, 7.0, 1e-300, 1.7976931348623157e308], "text", None),
        (
            "category",
            ["7", "-7", "0", "07", "-0", " 7", "7\n", "7.0", "many", "", _ARABIC_SEVEN, _BIG],
            "int",
            [7, -7, 0, *[None] * 9],
        ),
        (
            "text",
            ["7", "+.5", "1e-3", "1e400", "1e99", "nan", "inf", "7,5", "7.5\n", "0x10", "9" * 400, None],
            "float",
            [7.0, 0.5, 0.001, None, 1e99, *[None] * 7],
        ),
        ("text", ["ü" * 255, "ü" * 256, "\N{LEAF FLUTTERING IN WIND}"], "category", None),
        ("category", ["ü" * 255, "a ", ""], "text", ["ü" * 255, "a ", ""]),
    ],
)
def test_a_value_is_kept_exactly_or_not_at_all(
    settings: Settings,
    toy_use_case: UseCase,
    before: Literal["int", "float", "category", "text"],
    values: list[Any],
    after: Literal["int", "float", "category", "text"],
    expected: list[Any] | None,
) -> None:
    database = get_engine(settings)
    apply_declaration(database, declaring(toy_use_case, Feature("it", before, "")))
    with database.begin() as connection:
        for number, value in enumerate(values):
            connection.exec_driver_sql(
                f"INSERT INTO {ONLINE} (client_id, event_time, ingested_at, it)"
                " VALUES (%s, NOW(), NOW(), %s)",
                (number, value),
            )
    apply_declaration(database, declaring(toy_use_case, Feature("it", after, "")), allow_destructive=True)
    found = [row[0] for row in rows(database, f"SELECT it FROM {ONLINE} ORDER BY client_id")]
    if before == "float" and after == "text":
        assert [float(text) for text in found] == values
    elif after == "category" and before == "text":
        assert found == [values[0], None, values[2]]
    else:
        assert found == expected
        assert [math.copysign(1, v) for v in found if isinstance(v, float)] == [
            math.copysign(1, v) for v in expected or () if isinstance(v, float)
        ]


def test_keys_cannot_be_changed(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    for key in (Key("client_id", "text", ""), Key("number", "int", "")):
        other = replace(toy_use_case, entity=Entity("client", (key,)))
        with pytest.raises(SchemaMismatch, match="a key cannot be changed"):
            apply_declaration(loaded, other, allow_destructive=True)


def test_a_label_that_would_be_empty_is_refused(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    numeric = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    with pytest.raises(SchemaMismatch, match=r"toy__label, column leaves.*1 rows would have no value: 'yes'"):
        apply_declaration(loaded, numeric, allow_destructive=True)
    renamed = replace(toy_use_case, label=replace(toy_use_case.label, name="went"))
    with pytest.raises(SchemaMismatch, match="went"):
        apply_declaration(loaded, renamed, allow_destructive=True)
    assert {c.table for c in diff_tables(loaded, renamed)} == {"toy__label"}


def test_a_label_may_change_while_nothing_is_lost(database: sa.Engine, toy_use_case: UseCase) -> None:
    load(database, toy_use_case, JULY, {"label": labels((1, JUNE, "1"), (2, JUNE, "0"))})
    numeric = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    apply_declaration(database, numeric, allow_destructive=True)
    assert rows(database, "SELECT leaves FROM toy__label ORDER BY client_id") == [(1.0,), (0.0,)]
    with pytest.raises(sa.exc.DBAPIError), database.begin() as connection:
        connection.exec_driver_sql("UPDATE toy__label SET leaves = NULL")
    assert diff_tables(database, numeric) == []


def test_an_empty_label_table_may_rename_its_target(database: sa.Engine, toy_use_case: UseCase) -> None:
    renamed = replace(toy_use_case, label=replace(toy_use_case.label, name="went"))
    apply_declaration(database, renamed, allow_destructive=True)
    load(database, renamed, JULY, {"label": labels((1, JUNE, "yes")).rename(columns={"leaves": "went"})})
    assert rows(database, "SELECT went, `_retired_1_leaves` FROM toy__label") == [("yes", None)]


def test_what_is_forgotten_leaves_no_record_of_retired_columns(
    loaded: sa.Engine, toy_use_case: UseCase
) -> None:
    apply_declaration(loaded, declaring(toy_use_case, without=("mood",)), allow_destructive=True)
    before = rows(loaded, f"SELECT changes FROM store_state WHERE table_name = '{FACTS}'")
    erase_use_case(loaded, toy_use_case)
    assert rows(loaded, "SELECT COUNT(*) FROM retired_column") == [(0,)]
    assert rows(loaded, f"SELECT changes FROM store_state WHERE table_name = '{FACTS}'") > before


def test_every_change_is_counted_for_those_who_keep_copies(loaded: sa.Engine, toy_use_case: UseCase) -> None:
    counted = f"SELECT changes FROM store_state WHERE table_name = '{FACTS}'"
    seen = [rows(loaded, counted)]
    for use_case in (declaring(toy_use_case, Feature("height", "float", "")), toy_use_case):
        apply_declaration(loaded, use_case, allow_destructive=True)
        seen.append(rows(loaded, counted))
    assert seen[0] != seen[1] != seen[2]
