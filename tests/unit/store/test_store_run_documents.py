"""The documents of a training run and of its query, also as earlier versions wrote them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evergreen.store.history.query import parse_query
from evergreen.store.records.training_run import TrainingRun

JULY = datetime(2026, 7, 1, tzinfo=UTC)
NEW = TrainingRun("run", "toy", JULY, "test", "started", *[None] * 9, started_at=JULY, finished_at=None)
QUERY: dict[str, Any] = {
    "use_case": "toy",
    "as_of": JULY.isoformat(),
    "since": None,
    "keys": [["client", "int"]],
    "label": {"table": "toy__label", "columns": [["left", "category"]], "delay_seconds": 0},
    "views": [{"table": "toy__facts", "columns": [["age", "int"]], "max_age_seconds": None}],
}


def test_a_run_that_has_begun_has_no_facts_yet() -> None:
    facts = (NEW.labels_since, NEW.champion_version, NEW.model_digest, NEW.has_passed)
    assert facts == (None, None, None, False)


def test_what_a_run_tells_is_read_from_its_documents() -> None:
    run = replace(
        NEW,
        dataset_query={**QUERY, "since": JULY.isoformat()},
        metrics={"champion_version": 3, "candidate": {"auc": 0.8}},  # of before models had digests
        verdict={"passed": True, "checks": []},
    )
    assert (run.labels_since, run.champion_version, run.model_digest) == (JULY, 3, None)
    assert run.has_passed
    assert not replace(run, verdict={"passed": False}).has_passed


def test_a_query_is_what_its_document_says_and_no_other_document_is_one() -> None:
    query = parse_query(QUERY)
    assert query.to_json() == QUERY
    assert (query.as_of, query.key_names, query.tables) == (JULY, ("client",), ("toy__label", "toy__facts"))
    with pytest.raises(ValueError, match="label"):
        parse_query({name: value for name, value in QUERY.items() if name != "label"})
