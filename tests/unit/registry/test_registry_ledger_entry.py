"""A line of the ledger as a value: its verdict, also one that an early version recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from evergreen.model.judging.verdict import Check, Verdict
from evergreen.registry.ledger import Entry

AT = datetime(2026, 7, 1, tzinfo=UTC)
ENTRY = Entry(
    id=7,
    at=AT,
    recorded_at=AT,
    use_case="toy",
    action="promote",
    from_version=None,
    to_version=1,
    training_run_id="a",
    mlflow_run_id="b",
    actor="gate",
    reason="good",
    verdict_text=None,
)


def test_the_verdict_is_read_back() -> None:
    verdict = Verdict("roc_auc", 3, (Check("leakage", "warning", 0.99, None, "nearly perfect"),))
    entry = replace(ENTRY, verdict_text=json.dumps(verdict.to_json()))
    assert entry.verdict == verdict
    assert entry.warnings == ("nearly perfect",)
    assert entry.to_json()["verdict"] == verdict.to_json()


def test_a_line_without_a_verdict_has_no_warnings() -> None:
    assert ENTRY.verdict is None
    assert ENTRY.warnings == ()
    assert ENTRY.to_json()["verdict"] is None


def test_a_verdict_of_an_early_version_is_shown_as_it_was_recorded() -> None:
    document = {
        "passed": False,
        "metric": "roc_auc",
        "champion_version": None,
        "checks": [
            {"name": "latency", "passed": False, "candidate": 60.0, "wanted": 50.0, "reason": "too slow"}
        ],
        "summary": "rejected: too slow",
    }
    entry = replace(ENTRY, verdict_text=json.dumps(document))
    assert entry.warnings == ()
    assert entry.to_json()["verdict"] == document
    assert entry.verdict is not None
    assert not entry.verdict.passed


def test_an_unreadable_verdict_only_fails_where_it_is_parsed() -> None:
    entry = replace(ENTRY, verdict_text='{"passed": true}')
    assert entry.warnings == ()
    assert entry.to_json()["verdict"] == {"passed": True}


def test_a_line_counts_from_when_it_was_written_if_that_is_another_moment() -> None:
    late = replace(ENTRY, recorded_at=AT + timedelta(days=1))
    assert late.misdated
    assert late.since == AT + timedelta(days=1)
    assert not ENTRY.misdated
    assert ENTRY.since == AT
    old = replace(ENTRY, recorded_at=None)
    assert not old.misdated
    assert old.since == AT


def test_the_json_has_every_column() -> None:
    assert list(ENTRY.to_json()) == [
        *("id", "at", "recorded_at", "use_case", "action", "from_version", "to_version"),
        *("training_run_id", "mlflow_run_id", "actor", "reason", "verdict"),
    ]
