"""The registry of migrations of generated tables: numbers, kinds, and steps that such a table can take."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from evergreen.store.migrations.generated_migrations import (
    MIGRATIONS,
    AddColumn,
    GeneratedMigration,
    ReplaceColumn,
    list_table_kinds,
)
from evergreen.usecase import UseCase


def test_the_numbers_rise() -> None:
    numbers = [migration.number for migration in MIGRATIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_table_of_a_use_case_has_a_kind(toy_use_case: UseCase) -> None:
    assert list_table_kinds(toy_use_case) == {
        "toy__facts": "history",
        "toy__facts__online": "online",
        "toy__label": "label",
        "toy__prediction": "prediction",
        "toy__outcome": "outcome",
    }


def test_a_step_that_would_lose_or_lack_values_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="needs a default"):
        AddColumn(sa.Column("trace", sa.String(32), nullable=False))
    with pytest.raises(ValueError, match="system-versioned"):
        GeneratedMigration(9, "history", "x", (ReplaceColumn("x", sa.String(32)),))
