"""Counts of refused rows on a real MariaDB."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.refused import (
    RefusedCount,
    RefusedSum,
    delete_refused_counts,
    insert_refused_counts,
    sum_refused_counts,
)
from evergreen.store.tables.forget import erase_use_case, is_empty
from evergreen.usecase import UseCase
from support.toy_schema import rows

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def count(field: str, kind: str, number: int, until: datetime = NOON) -> RefusedCount:
    return RefusedCount(str(uuid.uuid4()), field, kind, number, until - MINUTE, until, "host:4711")


def test_counts_are_kept_once_and_summed_by_field_and_kind(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    counts = [
        count("age", "less_than_equal", 3),
        count("age", "less_than_equal", 4, NOON + MINUTE),
        count("age", "missing", 5),
        count("", "extra_forbidden", 1, NOON + 2 * MINUTE),
    ]
    assert insert_refused_counts(database, toy_use_case, counts[:2]) == 2
    again = [replace(each, rows=1000) for each in counts[:2]]
    assert insert_refused_counts(database, toy_use_case, [*again, *counts[2:]]) == 2
    assert sum_refused_counts(database, toy_use_case, NOON - MINUTE, NOON + MINUTE) == [
        RefusedSum("age", "less_than_equal", 7),
        RefusedSum("age", "missing", 5),
    ]
    assert sum_refused_counts(database, toy_use_case, NOON, NOON + 2 * MINUTE) == [
        RefusedSum("age", "less_than_equal", 4),
        RefusedSum("", "extra_forbidden", 1),
    ]
    other = replace(toy_use_case, name="other")
    assert sum_refused_counts(database, other, NOON - MINUTE, NOON + MINUTE) == []
    assert delete_refused_counts(database, other, NOON + MINUTE) == 0
    assert delete_refused_counts(database, toy_use_case, NOON + MINUTE) == 2
    # A service that is asked before the first ingest keeps no demo from beginning.
    assert sum_refused_counts(database, toy_use_case, NOON, NOON + 2 * MINUTE) != []
    assert is_empty(database, toy_use_case)
    erase_use_case(database, toy_use_case)
    assert sum_refused_counts(database, toy_use_case, NOON, NOON + 2 * MINUTE) == []


def test_names_that_a_client_chose_are_cut(database: sa.Engine, toy_use_case: UseCase) -> None:
    long = replace(count("ü" * 5000, "k" * 5000, 1), service="s" * 5000)
    assert insert_refused_counts(database, toy_use_case, [long]) == 1
    assert rows(database, "SELECT field, kind, service FROM refused_count") == [
        ("ü" * 100, "k" * 100, "s" * 191)
    ]
    with pytest.raises(StoreError, match="not the id of a count"):
        insert_refused_counts(database, toy_use_case, [replace(long, count_id="1")])


def test_nothing_is_counted_before_there_is_a_table(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    assert sum_refused_counts(database, toy_use_case, NOON, NOON + MINUTE) == []
    assert delete_refused_counts(database, toy_use_case, NOON) == 0
