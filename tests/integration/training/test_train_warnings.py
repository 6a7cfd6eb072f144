"""Warnings of the gate, from the rows to every place where they are told; and records of before them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from evergreen.ingest.loading.load import load_parts as load_frames
from evergreen.loop import train
from evergreen.loop.explain import explain_verdict
from evergreen.model.judging.verdict import Verdict
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run
from evergreen.store.records.ingest_run import start_ingest
from evergreen.training.tracking import training_runs
from support.toy_training import forget_declaration

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_declaration() -> Iterator[None]:
    forget_declaration()
    yield
    forget_declaration()


def test_a_feature_that_tells_the_answer_is_named_wherever_the_verdict_is(
    toy_store: Settings, toy_use_case: Any, toy_frames: Any, caplog: pytest.LogCaptureFixture
) -> None:
    frames = toy_frames(600)
    left = frames["label"]["leaves"].to_numpy()
    frames["facts"]["mood"] = np.where(left == "yes", "gone", "here").astype(object)
    run = start_ingest(get_engine(toy_store), toy_use_case, AS_OF)
    load_frames(get_engine(toy_store), toy_use_case, run.id, frames)
    with caplog.at_level(logging.INFO, logger="evergreen"):
        outcome = train.run_train(toy_store, "toy", AS_OF)

    assert outcome["promoted"] is True, "a warning rejects nobody"
    [warning] = outcome["warnings"]
    assert warning.startswith("roc_auc 1.0000 is nearly perfect")
    assert "rests on mood (" in warning
    assert outcome["gate"]["summary"].startswith(f"passed with 1 warning: {warning}. Reasons: ")
    assert outcome["gate"]["warnings"] == [warning]
    assert f"WARNING leakage: {warning}" in caplog.messages

    [line] = ledger.read_entries(get_engine(toy_store), "toy")
    assert line.warnings == (warning,)
    assert line.reason == outcome["gate"]["summary"]
    told = explain_verdict(toy_store, "toy", 1).to_json()
    assert told["warnings"] == [warning]
    assert {check["name"] for check in told["checks"] if check["result"] == "warning"} == {"leakage"}
    client = MlflowClient(toy_store.mlflow_tracking_uri, toy_store.mlflow_tracking_uri)
    tags = client.get_model_version("toy", "1").tags
    assert (tags["evergreen.passed"], tags["evergreen.warnings"]) == ("true", "leakage")
    found = read_champion(toy_store, "toy")
    assert found is not None
    card = client.download_artifacts(found.run_id, training_runs.CARD_FILE)
    with open(card, encoding="utf-8") as page:  # noqa: PTH123  MLflow names it as text
        assert "Passed with 1 warning" in page.read()


def values(accuracy: float) -> dict[str, float]:
    return {"roc_auc": accuracy, "accuracy": accuracy}


# An evaluation as trainings recorded it before champions were measured in full and gains above 0 counted.
BEFORE = {
    "metric": "roc_auc",
    "candidate": values(0.9),
    "champion": values(0.7),
    "linear": values(0.96),
    "dummy": values(0.5),
    "champion_version": 4,
    "remark": "",
    "gains": {"champion": {"value": 0.2, "low": 0.1, "high": 0.3, "share": 1.0}},
    "holdout_rows": 100,
    "slices": [],
    "size_bytes": 1_000,
    "latency_ms": 0.1,
    "replay": None,
    "model_digest": "ab",
}


def test_a_training_that_was_evaluated_by_an_earlier_version_is_judged(toy_store: Settings) -> None:
    database = get_engine(toy_store)
    run = training_run.start_training_run(database, "toy", AS_OF, "drift")
    training_run.update_training_run(
        database, run.id, status="evaluated", metrics=BEFORE, mlflow_run_id="0" * 32
    )
    judged = train.apply_gate(toy_store, run.id)
    # The toy's margin is below 0: whether the champion was surely beaten is not on record.
    assert judged["passed"] is False
    results = {check["name"]: check["result"] for check in judged["checks"]}
    others = ("beats champion", "beats champion surely", "beats dummy", "size", "latency")
    assert results == {**dict.fromkeys(others, "passed"), "beats linear": "failed"}


def test_a_verdict_of_before_there_were_warnings_is_explained(toy_store: Settings) -> None:
    checks = [
        {
            "name": "beats dummy",
            "passed": True,
            "candidate": 0.9,
            "wanted": 0.5,
            "reason": "it beats a guess",
        },
        {"name": "latency", "passed": False, "candidate": 60.0, "wanted": 50.0, "reason": "it is too slow"},
    ]
    verdict = {"passed": False, "metric": "roc_auc", "champion_version": None, "checks": checks}
    verdict["summary"] = "rejected: it is too slow"
    database = get_engine(toy_store)
    run = training_run.start_training_run(database, "toy", AS_OF, "drift")
    training_run.update_training_run(
        database,
        run.id,
        status="rejected",
        metrics=BEFORE,
        verdict=verdict,
        mlflow_run_id="0" * 32,
        model_version=7,
    )
    ledger.append_entry(
        database,
        use_case_name="toy",
        action="reject",
        from_version=None,
        to_version=7,
        training_run_id=run.id,
        mlflow_run_id="0" * 32,
        actor="gate",
        reason=verdict["summary"],
        verdict=Verdict.from_json(verdict),
    )
    told = explain_verdict(toy_store, "toy", 7).to_json()
    assert [check["result"] for check in told["checks"]] == ["passed", "failed"]
    assert (told["passed"], told["summary"], told["warnings"]) == (False, "rejected: it is too slow", [])
    assert json.loads(json.dumps(told)) == told
    [line] = ledger.read_entries(database, "toy")
    assert line.warnings == ()
