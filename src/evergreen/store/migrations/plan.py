"""What `evergreen migrate` would do: the pending migrations of both kinds, in words. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateColumn

from evergreen.documents import JsonObject, write_document
from evergreen.store.migrations.generated_migrations import (
    AddColumn,
    GeneratedMigration,
    MoveOutcomes,
    ReplaceColumn,
)
from evergreen.store.migrations.migrate_generated import find_pending_migrations
from evergreen.store.migrations.migrations import find_pending_files
from evergreen.store.tables.sql_files import fill_ledger_name, split_statements
from evergreen.usecase import UseCase

PLATFORM = "platform"
_STATEMENT_CHARACTERS = 160


@dataclass(frozen=True)
class PlannedMigration:
    """A migration that a database has not had.

    `subject` is the table that it changes, or "platform" for the platform's own tables. `meaning` is what its
    author says of it, "" where the name says it; `steps` are the changes, in their order.
    """

    subject: str
    name: str
    meaning: str
    steps: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """For `--json`."""
        return write_document(self)


def plan_migrations(
    engine: sa.Engine, use_cases: Iterable[UseCase], source: Path | None = None
) -> list[PlannedMigration]:
    """The migrations that `apply_migrations` and `migrate_generated_tables` would apply, in their order.

    A table that does not exist yet is made in the newest form and has none. Raises StoreUnreachable.
    """
    database = str(engine.url.database)
    with engine.connect() as connection:
        plan = [_describe_file(path, database) for path in find_pending_files(connection, source)]
        for use_case in use_cases:
            for table, migrations in find_pending_migrations(connection, use_case).items():
                plan += [_describe_generated(table, use_case, migration) for migration in migrations]
    return plan


def _describe_file(path: Path, database: str) -> PlannedMigration:
    script = fill_ledger_name(path.read_text("utf-8"), database)
    comment = []
    for line in script.splitlines():
        if not line.startswith("--"):
            break
        comment.append(line.lstrip("- ").strip())
    steps = (" ".join(statement.split()) for statement in split_statements(script))
    return PlannedMigration(PLATFORM, path.stem, " ".join(comment), tuple(map(_shorten, steps)))


def _describe_generated(table: str, use_case: UseCase, migration: GeneratedMigration) -> PlannedMigration:
    steps = tuple(_describe_step(use_case, step) for step in migration.steps)
    return PlannedMigration(table, f"{migration.number} {migration.name}", "", steps)


def _describe_step(use_case: UseCase, step: AddColumn | ReplaceColumn | MoveOutcomes) -> str:
    match step:
        case AddColumn():
            definition = CreateColumn(step.column).compile(dialect=mysql.dialect())
            return f"add column {' '.join(str(definition).split())}; no row is touched"
        case ReplaceColumn():
            spelled = step.column_type.compile(dialect=mysql.dialect())
            return f"column {step.column_name} becomes {spelled}, filled some thousand rows at a time"
        case MoveOutcomes():
            columns = " and ".join(step.column_names)
            return f"move {columns} into rows of {use_case.outcome_table}, some thousand at a time"


def _shorten(statement: str) -> str:
    return (
        statement
        if len(statement) <= _STATEMENT_CHARACTERS
        else f"{statement[: _STATEMENT_CHARACTERS - 2]} …"
    )
