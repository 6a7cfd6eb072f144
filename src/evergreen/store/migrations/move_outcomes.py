"""The second migration of the prediction log: its columns `actual` and `actual_at` become rows of
outcomes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import SchemaMismatch
from evergreen.store.migrations.alter import alter_table
from evergreen.store.migrations.generated_migrations import OUTCOME_COLUMNS
from evergreen.store.migrations.key_ranges import iterate_key_ranges
from evergreen.store.tables.declared import RESERVED_PREFIX, build_outcome_table
from evergreen.store.tables.partitions import copy_partitions
from evergreen.usecase import UseCase

_CHUNK_ROWS = 5_000
# The names of both columns while their values are copied.
_MOVING_COLUMNS = tuple(f"{RESERVED_PREFIX}moving_{name}" for name in OUTCOME_COLUMNS)


def move_outcomes(connection: sa.Connection, use_case: UseCase) -> None:
    """Copy the outcomes in the prediction log into the table of outcomes, which exists, then drop their
    columns.

    A copied outcome has its prediction's id as its own, so copying again changes nothing. The columns are
    renamed first: services of the version before, which name them, keep their rows on disk from then on, and
    no outcome comes into a column whose rows were copied. Rows are read and written by this version
    meanwhile.

    Raises SchemaMismatch, having changed nothing, when the label's type has changed too; StoreError when a
    session keeps the log for five minutes. Run again it goes on.
    """
    log, outcome = use_case.prediction_table, build_outcome_table(use_case)
    types = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(log)}
    connection.rollback()
    if OUTCOME_COLUMNS[0] in types:
        _check_type(use_case, outcome, types[OUTCOME_COLUMNS[0]])
        copy_partitions(connection, log, outcome.name)
        renames = (
            f"RENAME COLUMN `{old}` TO `{new}`"
            for old, new in zip(OUTCOME_COLUMNS, _MOVING_COLUMNS, strict=True)
        )
        alter_table(connection, log, f"{', '.join(renames)}, ALGORITHM=INSTANT")
    elif _MOVING_COLUMNS[0] not in types:
        return
    _copy_outcomes(connection, log, outcome)
    drops = (f"DROP COLUMN IF EXISTS `{column}`" for column in _MOVING_COLUMNS)
    alter_table(connection, log, f"{', '.join(drops)}, ALGORITHM=INSTANT")


def _check_type(use_case: UseCase, outcome: sa.Table, present: sa.types.TypeEngine[object]) -> None:
    dialect = mysql.dialect()
    declared = outcome.c.actual.type.compile(dialect=dialect)
    found = present.compile(dialect=dialect)
    if found.partition("(")[0].partition(" ")[0] != declared.partition("(")[0]:
        raise SchemaMismatch(
            f"table {use_case.prediction_table}, column {OUTCOME_COLUMNS[0]}: declared {declared.lower()},"
            f" found {found.lower()}",
            hint=f"declare the label as it was and run: evergreen apply {use_case.name}; then change it",
        )


def _copy_outcomes(connection: sa.Connection, log: str, outcome: sa.Table) -> None:
    names = ("prediction_id", "predicted_at", *_MOVING_COLUMNS)
    rows = sa.table(log, *(sa.column(name) for name in names))
    actual, actual_at = (rows.c[name] for name in _MOVING_COLUMNS)
    for in_range in iterate_key_ranges(connection, rows.c.prediction_id, _CHUNK_ROWS):
        insert = mysql.insert(outcome).from_select(
            ["outcome_id", "predicted_at", "prediction_id", "actual", "recorded_at"],
            sa.select(
                rows.c.prediction_id,
                rows.c.predicted_at,
                rows.c.prediction_id,
                actual,
                sa.func.coalesce(actual_at, rows.c.predicted_at),
            ).where(*in_range, actual.is_not(None)),
        )
        connection.execute(insert.on_duplicate_key_update(outcome_id=outcome.c.outcome_id))
