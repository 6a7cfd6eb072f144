"""The tables of a use case, generated from its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from evergreen.errors import SchemaMismatch
from evergreen.store.connection.database import hold_lock
from evergreen.usecase import (
    CATEGORY_CHARACTERS,
    EVENT_TIME,
    KEY_CHARACTERS,
    DType,
    FeatureView,
    UseCase,
)

INGESTED_AT = "ingested_at"

# What the names of columns begin with that Evergreen has put aside; no declared name begins with it.
RESERVED_PREFIX = "_"

ChangeKind = Literal["create table", "add", "drop", "retype"]

# MariaDB's own catalogue of columns.
CATALOGUE = sa.table(
    "columns",
    *map(sa.column, ("table_schema", "table_name", "column_name", "column_type", "column_key")),
    sa.column("ordinal_position"),
    schema="information_schema",
)

# A comparison without padding: 'a' and 'a ' are two categories.
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
}


@dataclass(frozen=True)
class Change:
    """One difference between the declaration and a table: what must be done to the table.

    `declared` and `found` are column types, "" for none. A `required` column may not be NULL; a `key` is part
    of the primary key.
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
        return self.kind == "create table" or (self.kind == "add" and not self.required)

    def __str__(self) -> str:
        if self.kind == "create table":
            return f"table {self.table}: not there yet"
        return (
            f"table {self.table}, column {self.column}: declared {self.declared or 'not at all'},"
            f" found {self.found or 'no such column'}"
        )


def build_moment_type() -> sa.types.TypeEngine[Any]:
    """A naive UTC moment with microseconds."""
    return mysql.DATETIME(fsp=6)


def build_value_type(dtype: DType) -> sa.types.TypeEngine[Any]:
    """The column type of a feature."""
    match dtype:
        case "int":
            return mysql.BIGINT()
        case "float":
            return mysql.DOUBLE(asdecimal=False)
        case "category":
            return mysql.VARCHAR(CATEGORY_CHARACTERS)
        case "text":
            return mysql.TEXT()


def build_history_table(use_case: UseCase, view: FeatureView) -> sa.Table:
    """Every version of every row of a view: key, event_time, ingested_at, features. System-versioned."""
    return _build_table(
        use_case.history_table(view),
        [*_build_key_columns(use_case), *_build_clock_columns(), *_build_feature_columns(view)],
    )


def build_online_table(use_case: UseCase, view: FeatureView) -> sa.Table:
    """The newest row per key of a view's history."""
    clocks = [sa.Column(column.name, column.type, nullable=False) for column in _build_clock_columns()]
    return _build_table(
        use_case.online_table(view), [*_build_key_columns(use_case), *clocks, *_build_feature_columns(view)]
    )


def build_label_table(use_case: UseCase) -> sa.Table:
    """Every version of every label. System-versioned."""
    target = sa.Column(use_case.label.name, _target_type(use_case), nullable=False)
    return _build_table(
        use_case.label_table, [*_build_key_columns(use_case), *_build_clock_columns(), target]
    )


def build_prediction_table(use_case: UseCase) -> sa.Table:
    """The prediction log, partitioned by day. The id is a UUIDv7, so it carries `predicted_at`."""
    keys = [sa.Column(key.name, _key_type(key.dtype), nullable=True) for key in use_case.entity.keys]
    features = [column for view in use_case.views for column in _build_feature_columns(view)]
    return _build_table(
        use_case.prediction_table,
        [
            sa.Column("prediction_id", mysql.CHAR(36, charset="ascii"), primary_key=True),
            sa.Column("predicted_at", build_moment_type(), primary_key=True),
            sa.Column("model_version", sa.Integer, nullable=False),
            sa.Column("channel", mysql.ENUM("online", "batch", "canary"), nullable=False),
            *keys,
            *features,
            sa.Column("prediction", _target_type(use_case), nullable=False),
            sa.Column("probability", mysql.DOUBLE(asdecimal=False)),
            sa.Column("probabilities", mysql.LONGTEXT),
            sa.Column("actual", _target_type(use_case)),
            sa.Column("actual_at", build_moment_type()),
        ],
        sa.Index("by_channel", "channel", "predicted_at"),
    )


def build_tables(use_case: UseCase) -> tuple[sa.Table, ...]:
    """All tables of a use case."""
    views = [
        table(use_case, view)
        for view in use_case.views
        for table in (build_history_table, build_online_table)
    ]
    return (*views, build_label_table(use_case), build_prediction_table(use_case))


def create_tables(engine: sa.Engine, use_case: UseCase) -> list[str]:
    """Create the tables that are missing, and give those that lack features their columns; their names.

    What stands in a table already misses the new features: they are NULL there. Safe to run again and at the
    same time. Raises SchemaMismatch when a table has other columns than declared; then nothing is changed.
    """
    with engine.connect() as connection:
        if not check_tables(connection, use_case):
            return []
        with hold_lock(connection, f"tables.{use_case.name}"):
            lacking = check_tables(connection, use_case)
            add_tables_and_columns(connection, use_case, lacking)
    return list(lacking)


def check_tables(connection: sa.Connection, use_case: UseCase) -> dict[str, list[str]]:
    """The tables that lack something, with the columns that may simply be added: those that may be NULL; none
    for a table that does not exist.

    Raises SchemaMismatch for any other difference, naming the table, the column, what is declared and what
    was found.
    """
    lacking: dict[str, list[str]] = {}
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
        columns = lacking.setdefault(change.table, [])
        if change.kind == "add":
            columns.append(change.column)
    return lacking


def describe_remedy(use_case: str, changes: Sequence[Change]) -> str:
    """What to do about tables that differ from a declaration; nothing that `evergreen apply` would refuse."""
    keys = sorted({change.column for change in changes if change.key})
    if keys:
        return f"a key cannot be changed ({', '.join(keys)}): {describe_alternatives(use_case)}"
    command = f"change the tables with: evergreen apply {use_case}"
    if not all(change.additive for change in changes):
        command += " --allow-destructive (old values are put aside, none is deleted)"
    required = sorted({change.column for change in changes if change.required and change.kind != "drop"})
    if required:
        command += (
            f"; it refuses if rows would be left without a value in {', '.join(required)}: then"
            f" {describe_alternatives(use_case)}"
        )
    return command


def describe_alternatives(use_case: str) -> str:
    """The ways on for a use case whose tables cannot become what it declares now."""
    return (
        "declare it as it was, or the changed one under another name; or give up its tables, models and"
        f" searches, and begin with a demo: evergreen demo {use_case} --erase"
    )


def add_tables_and_columns(
    connection: sa.Connection, use_case: UseCase, lacking: Mapping[str, Sequence[str]]
) -> None:
    """Make the tables (those without columns to add) and columns that `check_tables` found lacking."""
    for table in build_tables(use_case):
        if table.name in lacking:
            added = lacking[table.name]
            statement = (
                _build_add_statement(table, added) if added else _build_create_statement(use_case, table)
            )
            connection.exec_driver_sql(statement.replace("%", "%%"))


def compare_tables(connection: sa.Connection, use_case: UseCase) -> list[Change]:
    """How the tables in the database differ from the declaration, in the order of `build_tables`.

    Columns that Evergreen put aside (their names begin with _, which no declared name does) do not count.
    """
    declared = build_tables(use_case)
    statement = (
        sa.select(*CATALOGUE.c)
        .where(CATALOGUE.c.table_schema == sa.func.database())
        .where(CATALOGUE.c.table_name.in_([table.name for table in declared]))
        .order_by(CATALOGUE.c.ordinal_position)
    )
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in connection.execute(statement):
        facts = (normalize_column_type(row.column_type), row.column_key == "PRI")
        found.setdefault(row.table_name, {})[row.column_name] = facts
    connection.rollback()
    changes: list[Change] = []
    for table in declared:
        if table.name in found:
            changes += _find_differences(table, found[table.name])
        else:
            changes.append(Change(table.name, "", "create table"))
    return changes


def _find_differences(table: sa.Table, found: Mapping[str, tuple[str, bool]]) -> Iterator[Change]:
    for column in table.columns:
        declared = format_column_type(column)
        there, _ = found.get(column.name, ("", False))
        if there != declared:
            kind: ChangeKind = "retype" if there else "add"
            required = not column.nullable
            yield Change(table.name, column.name, kind, declared, there, required, column.primary_key)
    for name, (there, key) in found.items():
        if name not in table.c and not name.startswith(RESERVED_PREFIX):
            yield Change(table.name, name, "drop", "", there, key=key)


def format_column_type(column: sa.Column[Any]) -> str:
    """A declared column's type as `compare_tables` spells it, such as bigint or varchar(255)."""
    return normalize_column_type(column.type.compile(dialect=mysql.dialect()))


def _build_create_statement(use_case: UseCase, table: sa.Table) -> str:
    statement = CreateTable(table, if_not_exists=True).compile(dialect=mysql.dialect())
    return f"{statement}{_build_table_suffix(use_case, table)}"


def _build_add_statement(table: sa.Table, columns: Sequence[str]) -> str:
    dialect = mysql.dialect()
    added = ", ".join(
        f"ADD COLUMN IF NOT EXISTS `{name}` {table.c[name].type.compile(dialect=dialect)}" for name in columns
    )
    # Versioned tables refuse a change unless told that the rows of the past may get the column too.
    return f"SET STATEMENT system_versioning_alter_history = KEEP FOR ALTER TABLE `{table.name}` {added}"


def _build_table_suffix(use_case: UseCase, table: sa.Table) -> str:
    if table.name == use_case.prediction_table:
        # The catch-all takes what no day takes, so that no insert ever fails for want of a partition.
        return " PARTITION BY RANGE COLUMNS(predicted_at) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
    if table.name.endswith("__online"):
        return ""
    return " WITH SYSTEM VERSIONING"


def _build_table(name: str, columns: Sequence[sa.Column[Any]], *more: sa.Index) -> sa.Table:
    items: list[sa.schema.SchemaItem] = [*columns, *more]
    return sa.Table(name, sa.MetaData(), *items, **_OPTIONS)


def _build_key_columns(use_case: UseCase) -> list[sa.Column[Any]]:
    return [
        sa.Column(key.name, _key_type(key.dtype), primary_key=True, autoincrement=False)
        for key in use_case.entity.keys
    ]


def _build_clock_columns() -> list[sa.Column[Any]]:
    return [sa.Column(name, build_moment_type(), primary_key=True) for name in (EVENT_TIME, INGESTED_AT)]


def _build_feature_columns(view: FeatureView) -> list[sa.Column[Any]]:
    return [sa.Column(f.name, build_value_type(f.dtype), nullable=True) for f in view.features]


def _key_type(dtype: str) -> sa.types.TypeEngine[Any]:
    return mysql.BIGINT() if dtype == "int" else mysql.VARCHAR(KEY_CHARACTERS)


def _target_type(use_case: UseCase) -> sa.types.TypeEngine[Any]:
    return mysql.VARCHAR(CATEGORY_CHARACTERS) if use_case.label.classes else mysql.DOUBLE(asdecimal=False)


def normalize_column_type(column_type: str) -> str:
    """A type without what MariaDB adds or drops by itself: display widths, character sets, spaces."""
    name = column_type.lower().partition(" character set")[0].replace(", ", ",").replace("'", "")
    for integer in ("bigint", "int"):
        if name.startswith(f"{integer}(") or name == f"{integer}eger":
            return integer
    return name
