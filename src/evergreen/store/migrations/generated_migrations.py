"""Migrations of the columns that Evergreen itself puts into the tables made of a declaration.

A declaration decides on features and keys; its changes are made by `evolve`. The other columns (`channel`,
`probability`, both clocks, ...) are the platform's, and change with the version of Evergreen by the numbered
steps of this module. There are five kinds of such tables: history, online, label, prediction and outcome.

To add a column: declare it in `declared.build_..._table`, reserve its name in `usecase.names`, and append a
migration with the next number. To let a column hold other values: change its type there and append a
migration with a `ReplaceColumn`. A migration that was released is never changed. A new table is created in
the newest form, with all migrations of its kind on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.usecase import UseCase

TableKind = Literal["history", "online", "label", "prediction", "outcome"]

# Updates of their rows would become new versions of them.
_VERSIONED: tuple[TableKind, ...] = ("history", "label")


@dataclass(frozen=True)
class AddColumn:
    """A new column, at the end of the table: nullable, or with a server default for the rows that are there.

    MariaDB adds it in the table's description alone, without touching a row.
    """

    column: sa.Column[Any]

    def __post_init__(self) -> None:
        if not self.column.nullable and self.column.server_default is None:
            raise ValueError(f"column {self.column.name} needs a default for the rows that are there")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that the step changes."""
        return (str(self.column.name),)


@dataclass(frozen=True)
class ReplaceColumn:
    """Another type for a column that is never NULL, and that nobody updates once its row is inserted.

    `placeholder` is a value of the new type that the old column never holds; it marks the rows that are still
    to be filled. `indexes` are the table's indexes with the column: name and columns.
    """

    column_name: str
    column_type: sa.types.TypeEngine[Any]
    placeholder: str = ""
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that the step changes."""
        return (self.column_name,)


@dataclass(frozen=True)
class MoveOutcomes:
    """Moves the columns `actual` and `actual_at` of the prediction log into rows of the table of outcomes.

    See `move_outcomes`.
    """

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that the step changes."""
        return OUTCOME_COLUMNS


@dataclass(frozen=True)
class GeneratedMigration:
    """One numbered change of all tables of a kind."""

    number: int
    kind: TableKind
    name: str
    steps: tuple[AddColumn | ReplaceColumn | MoveOutcomes, ...]

    def __post_init__(self) -> None:
        if self.kind in _VERSIONED and any(isinstance(step, ReplaceColumn) for step in self.steps):
            raise ValueError(f"migration {self.number}: a system-versioned table cannot be filled by updates")


# Columns of the prediction log until its second migration: what happened, and when it was learned.
OUTCOME_COLUMNS = ("actual", "actual_at")
CHANNEL_TYPE = mysql.VARCHAR(32, charset="ascii", collation="ascii_bin")

MIGRATIONS: tuple[GeneratedMigration, ...] = (
    GeneratedMigration(
        1,
        "prediction",
        "channel_as_text",
        (ReplaceColumn("channel", CHANNEL_TYPE, indexes=(("by_channel", ("channel", "predicted_at")),)),),
    ),
    GeneratedMigration(2, "prediction", "outcomes_of_their_own", (MoveOutcomes(),)),
)


def list_table_kinds(use_case: UseCase) -> dict[str, TableKind]:
    """The kind of each table of a use case, by the table's name."""
    kinds: dict[str, TableKind] = {}
    for view in use_case.views:
        kinds[use_case.history_table(view)] = "history"
        kinds[use_case.online_table(view)] = "online"
    return kinds | {
        use_case.label_table: "label",
        use_case.prediction_table: "prediction",
        use_case.outcome_table: "outcome",
    }
