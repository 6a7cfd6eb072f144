"""Whose table a table is by its name, where names of use cases and views run into each other."""

from __future__ import annotations

from dataclasses import replace

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.forget import find_tables
from evergreen.usecase import UseCase


def list_names(use_case: UseCase) -> set[str]:
    return {table.name for table in build_tables(use_case)}


def test_a_table_belongs_to_whom_it_is_declared_by(settings: Settings, toy_use_case: UseCase) -> None:
    """`toy__b__online` is of toy's view b, though it begins as the tables of the use case toy__b do."""
    [first, *more] = toy_use_case.views
    short = replace(toy_use_case, views=(replace(first, name="b"), *more))
    long = replace(toy_use_case, name="toy__b")
    engine = get_engine(settings)
    for use_case in (short, long):
        create_tables(engine, use_case)
    assert f"{long.name}__online" in list_names(short)

    names, declared = {"toy", "toy__b"}, [short, long]
    assert set(find_tables(engine, "toy", names, declared)) == list_names(short)
    assert set(find_tables(engine, "toy__b", names, declared)) == list_names(long)


def test_without_declarations_the_longer_name_of_a_use_case_decides(
    settings: Settings, toy_use_case: UseCase
) -> None:
    long = replace(toy_use_case, name="toy__b")
    engine = get_engine(settings)
    for use_case in (toy_use_case, long):
        create_tables(engine, use_case)
    assert set(find_tables(engine, "toy", {"toy", "toy__b"})) == list_names(toy_use_case)
    assert set(find_tables(engine, "toy__b", {"toy", "toy__b"})) == list_names(long)
