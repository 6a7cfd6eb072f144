"""Changes the tables of a use case as its changed declaration says (`evergreen apply`).

An ingest only adds new features (`create.create_tables`). The other changes are made on request: a column
that is no longer declared, or that has another type, is renamed to a name that no declaration can take
(`_retired_1_age`) and recorded in `retired_column`, so that training sets of the past can be read again. No
value is deleted.

Each step is one statement, which MariaDB executes completely or not at all; a second run finds what an
interrupted one has done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.store.connection.database import get_error_code
from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.alter import alter_table
from evergreen.store.migrations.migrate_generated import apply_pending_migrations, find_pending_migrations
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.compare import Change, compare_tables, describe_alternatives
from evergreen.store.tables.create import add_tables_and_columns
from evergreen.store.tables.declared import COMING_PREFIX, RESERVED_PREFIX, build_tables
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, RETIRED_COLUMN
from evergreen.store.tables.table_state import count_change
from evergreen.usecase import UseCase

# Both lengths leave room for 48 characters of the column's own name.
_RETIRED = f"{RESERVED_PREFIX}retired_"
_RETIRED_NAME = re.compile(rf"{_RETIRED}(\d+)_")

_EXAMPLES = 3


def diff_tables(engine: sa.Engine, use_case: UseCase) -> list[Change]:
    """What `apply_declaration` would change in the use case's tables; nothing is changed. Raises
    StoreUnreachable.
    """
    with engine.connect() as connection:
        return compare_tables(connection, use_case)


def apply_declaration(
    engine: sa.Engine, use_case: UseCase, *, allow_destructive: bool = False
) -> list[Change]:
    """Make the tables what the declaration says; the changes made. Safe to run again after any interruption.

    A new table is made; a new feature becomes a column by online DDL, NULL in the rows that are there. With
    `allow_destructive`:

    - a column no longer declared is put aside with its values, in the history, the online table and the
      prediction log alike;
    - a column of another type is put aside too, and a new one takes its name. It gets the old values that
      the new type holds exactly (7 → 7.0, 7.0 → 7, 7 → "7", "7" → 7) in all rows, those of the past
      included, and is NULL elsewhere ("many" as a number, 0.5 as an int).

    A column declared again after it was dropped begins empty: its old values stay aside.

    Loads of the use case wait meanwhile. A retype copies the table twice; other changes touch no row.
    A service takes the declaration over by itself afterwards.

    Raises SchemaMismatch, having changed nothing, for what needs `allow_destructive` and is not allowed, for
    a key that differs, and for a required column (the label, the log's prediction) that would be empty in
    some row; StoreError when a session keeps a table for long; StoreUnreachable.
    """
    apply_migrations(engine)
    with engine.connect() as connection:
        if not compare_tables(connection, use_case) and not find_pending_migrations(connection, use_case):
            return []
        with (
            hold_lock(connection, f"ingest.{use_case.name}"),
            hold_lock(connection, f"tables.{use_case.name}"),
        ):
            connection.rollback()
            changes = compare_tables(connection, use_case)
            _refuse_changes(connection, use_case, changes, allow_destructive)
            with _translate_errors(use_case):
                apply_pending_migrations(connection, use_case)
                for change in changes:
                    _apply_change(connection, use_case, change)
    return changes


def _refuse_changes(
    connection: sa.Connection, use_case: UseCase, changes: list[Change], allowed: bool
) -> None:
    """Raise SchemaMismatch if any of the changes must not be made."""
    for change in changes:
        if change.key:
            raise SchemaMismatch(
                f"{change}; a key cannot be changed: it says what every row is about",
                hint=describe_alternatives(use_case.name),
            )
    lasting = [change for change in changes if not change.additive]
    if lasting and not allowed:
        raise SchemaMismatch(
            f"the tables of {use_case.name} would lose what they show now:\n" + "\n".join(map(str, lasting)),
            hint=f"evergreen apply {use_case.name} --allow-destructive puts the old values aside and goes on;"
            " or declare the feature as it was, and the changed one under a new name",
        )
    for change in lasting:
        if change.required:
            _refuse_empty(connection, use_case, change)


def _refuse_empty(connection: sa.Connection, use_case: UseCase, change: Change) -> None:
    """Raise SchemaMismatch if a required column would have no value in some row, of now or of the past."""
    # Versions of the past would be empty too.
    versions = " FOR SYSTEM_TIME ALL" if change.table == use_case.label_table else ""
    rows = f"FROM `{change.table}`{versions}"
    value = "NULL"
    if change.kind == "retype":
        value = f"`{change.column}`"
        rows += f" WHERE ({_build_cast(change)}) IS NULL"
    row_count = _execute_statement(connection, f"SELECT COUNT(*) {rows}").scalar_one()
    if row_count:
        some = _execute_statement(connection, f"SELECT DISTINCT {value} {rows} LIMIT {_EXAMPLES}").scalars()
        values = ", ".join(map(repr, some)) if change.kind == "retype" else "rows without it"
        raise SchemaMismatch(
            f"{change}; it may not be empty, and {row_count:,} rows would have no value: {values}",
            hint="a column of another name in the source is said by column=...; else"
            f" {describe_alternatives(use_case.name)}",
        )


def _apply_change(connection: sa.Connection, use_case: UseCase, change: Change) -> None:
    """Make one change, count it as a change of the table, and record a column that was put aside."""
    if change.kind == "migrate":
        return  # the pending migrations were applied before
    if change.kind == "create table" or change.additive:
        columns = [change.column] if change.column else []
        add_tables_and_columns(connection, use_case, {change.table: columns})
    elif change.kind == "add":
        alter_table(
            connection, change.table, f"ADD COLUMN `{change.column}` {_build_definition(use_case, change)}"
        )
    else:
        _retire_column(connection, use_case, change)
    count_change(connection, change.table)
    connection.commit()


def _retire_column(connection: sa.Connection, use_case: UseCase, change: Change) -> None:
    """Rename a column that is not declared as it is; a new one of the new type takes its name."""
    coming = f"{COMING_PREFIX}{change.column}"
    # An interrupted run may have left it, with another type.
    alter_table(connection, change.table, f"DROP COLUMN IF EXISTS `{coming}`")
    steps = []
    if change.kind == "retype":
        # Generated until it takes the old column's place: rows written meanwhile have it too, and no row
        # gets another version.
        computed = f"{change.declared} GENERATED ALWAYS AS ({_build_cast(change)}) STORED"
        alter_table(connection, change.table, f"ADD COLUMN `{coming}` {computed}")
        steps.append(f"CHANGE COLUMN `{coming}` `{change.column}` {_build_definition(use_case, change)}")
    # Recorded before the rename, so that no interruption leaves a renamed column without a record.
    aside = _record_retirement(connection, change)
    # Nullable, because it is no longer written. One statement, so that no reader finds the column missing.
    steps.insert(0, f"CHANGE COLUMN `{change.column}` `{aside}` {_read_column_type(connection, change)} NULL")
    alter_table(connection, change.table, ", ".join(steps))
    _confirm_retirement(connection, change, aside)


def _build_definition(use_case: UseCase, change: Change) -> str:
    column = next(t for t in build_tables(use_case) if t.name == change.table).c[change.column]
    column_type = column.type.compile(dialect=mysql.dialect())
    return f"{column_type} {'NULL' if column.nullable else 'NOT NULL'}"


def _read_column_type(connection: sa.Connection, change: Change) -> str:
    """The column's type as MariaDB spells it."""
    c = CATALOGUE_COLUMNS.c
    statement = sa.select(c.column_type).where(c.table_schema == sa.func.database())
    statement = statement.where(c.table_name == change.table, c.column_name == change.column)
    return str(connection.execute(statement).scalar_one())


def _record_retirement(connection: sa.Connection, change: Change) -> str:
    """Record that a column is put aside, and its new name; an interrupted run may have done so already."""
    c = RETIRED_COLUMN.c
    columns = {column["name"] for column in sa.inspect(connection).get_columns(change.table)}
    records = connection.execute(
        sa.select(c.retired_as, c.column_name).where(c.table_name == change.table)
    ).all()
    for retired_as, column_name in records:
        if column_name == change.column and retired_as not in columns:
            connection.rollback()
            return str(retired_as)
    matches = [_RETIRED_NAME.match(name) for name in {*columns, *(retired_as for retired_as, _ in records)}]
    number = 1 + max((int(match[1]) for match in matches if match), default=0)
    aside = f"{_RETIRED}{number}_{change.column}"
    connection.execute(
        sa.insert(RETIRED_COLUMN).values(
            table_name=change.table,
            column_name=change.column,
            retired_as=aside,
            column_type=change.found,
            retired_at=sa.func.utc_timestamp(6),
        )
    )
    connection.commit()
    return aside


def _confirm_retirement(connection: sa.Connection, change: Change, aside: str) -> None:
    """Record the moment at which the column was put aside, and its type then."""
    c = RETIRED_COLUMN.c
    connection.execute(
        sa.update(RETIRED_COLUMN)
        .where(c.table_name == change.table, c.retired_as == aside)
        .values(retired_at=sa.func.utc_timestamp(6), column_type=change.found)
    )


def _build_cast(change: Change) -> str:
    """SQL: the old column's value in the new type, NULL where that would be another value."""
    column, present, declared = f"`{change.column}`", change.found, change.declared
    was_string = present == "text" or present.startswith("varchar")
    becomes_string = declared == "text" or declared.startswith("varchar")
    if was_string and becomes_string:
        length = re.search(r"\d+", declared)
        return f"CASE WHEN CHAR_LENGTH({column}) <= {length[0]} THEN {column} END" if length else column
    match present, declared:
        case "bigint", "double":
            # 2^53: up to here a double holds every whole number exactly.
            return (
                f"CASE WHEN {column} BETWEEN -9007199254740992 AND 9007199254740992"
                f" THEN CAST({column} AS DOUBLE) END"
            )
        case "double", "bigint":
            return (
                f"CASE WHEN {column} = FLOOR({column}) AND ABS({column}) < 9.2e18"
                f" THEN CAST({column} AS SIGNED) END"
            )
        case (("bigint" | "double"), _) if becomes_string:
            return f"CASE WHEN CAST({column} AS CHAR) + 0e0 = {column} THEN CAST({column} AS CHAR) END"
        case _, "bigint" if was_string:
            whole = "0|-?[1-9][0-9]{0,17}"
            return rf"CASE WHEN {column} REGEXP '^({whole})\\z' THEN CAST({column} AS SIGNED) END"
        case _, "double" if was_string:
            # Bounded, because a number beyond the range of doubles is an error and not infinity.
            number = "[+-]?([0-9]{1,200}([.][0-9]{0,200})?|[.][0-9]{1,200})([eE][+-]?[0-9]{1,2})?"
            return rf"CASE WHEN {column} REGEXP '^{number}\\z' THEN {column} + 0e0 END"
        case _:
            return "NULL"  # a type that Evergreen never makes


def _execute_statement(connection: sa.Connection, statement: str) -> sa.CursorResult[tuple[object, ...]]:
    """Names come from a checked declaration and the database's own catalogue. The driver formats with %."""
    return connection.exec_driver_sql(statement.replace("%", "%%"))


@contextmanager
def _translate_errors(use_case: UseCase) -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, StoreError) as error:
        match get_error_code(error):
            case 1118:  # ER_TOO_BIG_ROWSIZE
                raise StoreError(
                    f"a table of {use_case.name} has no room for another column: those put aside count too",
                    hint="drop those that no training set needs any more: SELECT * FROM retired_column",
                ) from error
            case _:
                raise
