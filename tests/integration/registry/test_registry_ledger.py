"""The ledger on a real MariaDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.model.judging.verdict import Check, Verdict
from evergreen.registry import champion_history, ledger
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations

AT = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
PASSED = Verdict("roc_auc", None, (Check("beats dummy", "passed", 0.9, 0.5, "better than a guess"),))
FAILED = Verdict("roc_auc", None, (Check("beats dummy", "failed", 0.5, 0.9, "worse than a guess"),))


@pytest.fixture
def database(settings):
    engine = get_engine(settings)
    apply_migrations(engine)
    return engine


def record(database, **changes):
    line = {
        "use_case_name": "toy",
        "action": "promote",
        "from_version": None,
        "to_version": 1,
        "training_run_id": "a" * 36,
        "actor": "gate",
        "reason": "because",
        "at": AT,
    }
    return ledger.append_entry(database, **{**line, **changes})


def test_a_line_is_written_once_and_never_changed(database):
    first = record(database, verdict=PASSED)
    again = record(database, reason="another", at=AT + timedelta(hours=1), verdict=FAILED)
    assert again == first
    assert again.verdict == PASSED
    assert again.to_json()["verdict"] == PASSED.to_json()
    assert again.at == AT
    assert ledger.read_entries(database, "toy") == [first]


def test_newest_first_by_use_case_and_no_more_than_asked_for(database):
    for version in (1, 2, 3):
        record(database, to_version=version, from_version=version - 1 or None)
    record(database, use_case_name="other")
    assert [line.to_version for line in ledger.read_entries(database, "toy", limit=2)] == [3, 2]
    assert len(ledger.read_entries(database, "toy")) == 3


def test_since_when_a_version_is_champion(database):
    record(database)
    record(database, to_version=2, from_version=1, at=AT + timedelta(days=1))
    assert champion_history.find_promotion_time(database, "toy", 1) == AT
    record(database, action="reject", to_version=1, at=AT + timedelta(days=2))
    assert champion_history.find_promotion_time(database, "toy", 1) == AT
    back = record(database, action="rollback", from_version=2, to_version=1, at=AT + timedelta(days=3))
    assert champion_history.find_promotion_time(database, "toy", 1) == back.at
    assert champion_history.find_promotion_time(database, "toy", 9) is None


def test_what_does_not_fit_is_refused_and_not_cut(database):
    with pytest.raises(sa.exc.SQLAlchemyError):
        record(database, actor="x" * 300)
    assert ledger.read_entries(database, "toy") == []


def test_a_line_is_found_by_its_training_or_its_version(database):
    record(database, use_case_name="other", to_version=1, training_run_id="o" * 36)
    first = record(database)
    second = record(database, to_version=2, from_version=1, training_run_id="b" * 36)
    back = record(database, action="rollback", to_version=1, from_version=2, training_run_id="b" * 36)
    assert ledger.find_entry(database, "toy", "promote") == second
    assert ledger.find_entry(database, "toy", "promote", training_run_id="a" * 36) == first
    assert ledger.find_entry(database, "toy", "promote", to_version=1) == first
    assert ledger.find_entry(database, "toy", "rollback", to_version=1) == back
    assert ledger.find_entry(database, "toy", "reject") is None
    assert ledger.find_entry(database, "toy", "promote", training_run_id="o" * 36) is None
