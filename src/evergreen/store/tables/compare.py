"""How the tables in the database differ from a use case's declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import SchemaMismatch
from evergreen.store.migrations.migrate_generated import find_pending_migrations
from evergreen.store.tables.declared import RESERVED_PREFIX, build_tables
from evergreen.store.tables.platform import CATALOGUE_COLUMNS
from evergreen.usecase import UseCase

ChangeKind = Literal["create table", "add", "drop", "retype", "migrate"]


@dataclass(frozen=True)
class Change:
    """One difference between the declaration and a table: what must be done to the table.

    `declared` and `found` are column types, "" for none. A `required` column may not be NULL; a `key` is part
    of the primary key. A "migrate" change is of a column of the platform's own that a pending migration makes
    (see `generated_migrations`).
    """

    table: str
    column: str
    kind: ChangeKind
    declared: str = ""
    found: str = ""
    required: bool = False
    key: bool = False

    @property
    def additive(self) -> bool:
        """Whether nothing that is there changes."""
        return self.kind in ("create table", "migrate") or (self.kind == "add" and not self.required)

    def __str__(self) -> str:
        if self.kind == "create table":
            return f"table {self.table}: not there yet"
        return (
            f"table {self.table}, column {self.column}: declared {self.declared or 'not at all'},"
            f" found {self.found or 'no such column'}"
        )


def check_tables(connection: sa.Connection, use_case: UseCase) -> dict[str, list[str]]:
    """The tables that lack something, with the columns that may simply be added: those that may be NULL; none
    for a table that does not exist.

    Raises SchemaMismatch for any other difference, naming the table, the column, what is declared and what
    was found.
    """
    missing: dict[str, list[str]] = {}
    changes = compare_tables(connection, use_case)
    lasting = [change for change in changes if not change.additive]
    if lasting:
        # A key decides what can be done, so it is what people read first.
        first = next((change for change in lasting if change.key), lasting[0])
        more = f" (and {len(lasting) - 1} more: evergreen features diff {use_case.name})"
        raise SchemaMismatch(
            f"{first}{more if len(lasting) > 1 else ''}", hint=describe_remedy(use_case.name, lasting)
        )
    for change in changes:
        if change.kind != "migrate":
            columns = missing.setdefault(change.table, [])
            if change.kind == "add":
                columns.append(change.column)
    return missing


def describe_remedy(use_case_name: str, changes: Sequence[Change]) -> str:
    """What to do about tables that differ from a declaration; nothing that `evergreen apply` would refuse."""
    keys = sorted({change.column for change in changes if change.key})
    if keys:
        return f"a key cannot be changed ({', '.join(keys)}): {describe_alternatives(use_case_name)}"
    command = f"change the tables with: evergreen apply {use_case_name}"
    if not all(change.additive for change in changes):
        command += " --allow-destructive (old values are put aside, none is deleted)"
    kinds = ("add", "retype")
    required = sorted({change.column for change in changes if change.required and change.kind in kinds})
    if required:
        command += (
            f"; it refuses if rows would be left without a value in {', '.join(required)}: then"
            f" {describe_alternatives(use_case_name)}"
        )
    return command


def describe_alternatives(use_case_name: str) -> str:
    """The ways on for a use case whose tables cannot become what it declares now."""
    return (
        "declare it as it was, or the changed one under another name; or give up its tables, models and"
        f" searches, and begin with a demo: evergreen demo {use_case_name} --erase"
    )


def compare_tables(connection: sa.Connection, use_case: UseCase) -> list[Change]:
    """How the tables in the database differ from the declaration, in the order of `build_tables`.

    Columns that Evergreen put aside (their names begin with _, which no declared name does) do not count.
    """
    tables = build_tables(use_case)
    pending = find_pending_migrations(connection, use_case)
    statement = (
        sa.select(*CATALOGUE_COLUMNS.c)
        .where(CATALOGUE_COLUMNS.c.table_schema == sa.func.database())
        .where(CATALOGUE_COLUMNS.c.table_name.in_([table.name for table in tables]))
        .order_by(CATALOGUE_COLUMNS.c.ordinal_position)
    )
    columns: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in connection.execute(statement):
        type_and_key = (normalize_column_type(row.column_type), row.column_key == "PRI")
        columns.setdefault(row.table_name, {})[row.column_name] = type_and_key
    connection.rollback()
    changes: list[Change] = []
    for table in tables:
        if table.name in columns:
            steps = [step for migration in pending.get(table.name, ()) for step in migration.steps]
            migrated = {name for step in steps for name in step.column_names}
            changes += _find_differences(table, columns[table.name], migrated)
        else:
            changes.append(Change(table.name, "", "create table"))
    return changes


def _find_differences(
    table: sa.Table, columns: Mapping[str, tuple[str, bool]], migrated: set[str]
) -> Iterator[Change]:
    """The differences of one table; `columns` is (type, whether in the key) of those it has, `migrated` the
    names of columns that a pending migration changes."""
    for column in table.columns:
        declared = format_column_type(column)
        present, _ = columns.get(column.name, ("", False))
        if present != declared:
            kind: ChangeKind = "retype" if present else "add"
            if column.name in migrated:
                kind = "migrate"
            required = not column.nullable
            yield Change(table.name, column.name, kind, declared, present, required, column.primary_key)
    for name, (present, key) in columns.items():
        if name not in table.c and not name.startswith(RESERVED_PREFIX):
            yield Change(table.name, name, "migrate" if name in migrated else "drop", "", present, key=key)


def format_column_type(column: sa.Column[Any]) -> str:
    """A declared column's type as `compare_tables` spells it, such as bigint or varchar(255)."""
    return normalize_column_type(column.type.compile(dialect=mysql.dialect()))


def normalize_column_type(column_type: str) -> str:
    """A type without what MariaDB adds or drops by itself: display widths, character sets, spaces."""
    name = column_type.lower().partition(" character set")[0].replace(", ", ",").replace("'", "")
    for integer in ("bigint", "int"):
        if name.startswith(f"{integer}(") or name == f"{integer}eger":
            return integer
    return name
