"""A candidate of a use case that declares a trial: it waits, is tried by deploy, and promoted or rejected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils import uuid7

from evergreen.loop import train
from evergreen.loop.deployment import candidate_trial
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.registry.succession.trial import end_trial, end_trial_in_time
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.model_trial import find_trial
from evergreen.usecase import UseCase
from support.outcomes import record_outcome
from support.toy_training import declare

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
WITH_A_TRIAL = (
    "trial=__import__('evergreen.usecase', fromlist=['Trial']).Trial('canary', 0.2)",
    "gate=replace(USE_CASE.gate, margin=-1.0, confidence=0.0)",
)


def test_a_candidate_is_tried_beside_the_champion(
    toy_store: Settings, toy_use_case: UseCase, caplog: pytest.LogCaptureFixture
) -> None:
    declare(toy_store, *WITH_A_TRIAL)
    settings, database = toy_store, get_engine(toy_store)
    # Nobody is champion yet, so there is nothing to try the first version beside.
    assert train.run_train(settings, "toy", AS_OF)["promoted"]
    assert candidate_trial.start_candidate_trial(settings, "toy")["trial"] is None

    second = train.run_train(settings, "toy", AS_OF + timedelta(days=1))
    assert (second["promoted"], second["waiting"], second["on_trial"]) == (False, True, True)
    started = candidate_trial.start_candidate_trial(settings, "toy")
    assert started["trial"] is not None
    assert candidate_trial.start_candidate_trial(settings, "toy") == started
    assert not candidate_trial.is_trial_over(settings, "toy", started)
    trial = find_trial(database, started["trial"])
    assert trial is not None
    assert (trial.mode, trial.share, trial.started_by) == ("canary", 0.2, "deploy")
    end_trial(settings, database, trial, outcome="passed", reason="good", actor="service")
    assert candidate_trial.is_trial_over(settings, "toy", started)
    assert candidate_trial.settle_candidate_trial(settings, started)["promoted"]
    champion = read_champion(settings, "toy")
    assert champion is not None
    assert champion.version == second["version"]
    assert candidate_trial.start_candidate_trial(settings, "toy")["trial"] is None
    actions = [entry.action for entry in ledger.read_entries(database, "toy")]
    assert actions == ["promote", "end_trial", "start_trial", "promote"]

    # Nobody asks for predictions here: the trial ends without a verdict, and that of the gate counts.
    third = train.run_train(settings, "toy", AS_OF + timedelta(days=2))
    started = candidate_trial.start_candidate_trial(settings, "toy")
    trial = find_trial(database, str(started["trial"]))
    assert trial is not None
    end_trial_in_time(settings, database, toy_use_case, trial, actor="service")
    with caplog.at_level("WARNING"):
        settled = candidate_trial.settle_candidate_trial(settings, started)
    assert settled["promoted"]
    few = "the challenger answered 0 of 200 rows that a verdict needs"
    assert f"v{third['version']} goes live by the gate's verdict alone: {few}" in caplog.text
    line = ledger.read_entries(database, "toy")[0]
    assert (line.action, line.to_version) == ("promote", third["version"])
    assert line.reason.endswith(
        f"WARNING: its trial ended without a verdict, so that of the gate counts: {few}"
    )
    said = (
        f"in its trial: it cannot be said yet whether v{third['version']} or v{second['version']} is better"
    )
    assert said in line.reason


def test_a_candidate_that_outcomes_show_to_be_worse_is_rejected(
    toy_store: Settings, toy_use_case: UseCase
) -> None:
    declare(toy_store, *WITH_A_TRIAL)
    settings, database = toy_store, get_engine(toy_store)
    first = train.run_train(settings, "toy", AS_OF)
    second = train.run_train(settings, "toy", AS_OF + timedelta(days=1))
    started = candidate_trial.start_candidate_trial(settings, "toy")
    trial = find_trial(database, str(started["trial"]))
    assert trial is not None
    for version, channel, probability, actual in (
        (first["version"], "online", 0.1, "no"),
        (second["version"], "challenger", 0.9, "no"),
    ):
        rows = [
            PredictionRow(str(uuid7()), version, channel, {"client_id": n}, *answer(probability))
            for n in range(150)
        ]
        insert_predictions(database, toy_use_case, rows)
        for row in rows:
            record_outcome(database, toy_use_case, row.prediction_id, actual, datetime.now(UTC))
    end_trial(settings, database, trial, outcome="passed", reason="within the limits", actor="service")
    settled = candidate_trial.settle_candidate_trial(settings, started)
    assert (settled["promoted"], settled["waiting"]) == (False, False)
    assert settled["reason"].startswith(
        f"its trial shows that it is worse than its champion: v{first['version']} is better than"
    )
    # A rerun of the task finds what was settled.
    assert candidate_trial.settle_candidate_trial(settings, started) == settled
    line = ledger.read_entries(database, "toy")[0]
    assert (line.action, line.actor, line.reason) == ("reject", "trial", settled["reason"])
    champion = read_champion(settings, "toy")
    assert champion is not None
    assert champion.version == first["version"]


def answer(probability: float) -> tuple[str, float, dict[str, float]]:
    """The prediction of a version that gives "yes" that probability."""
    prediction = "yes" if probability > 0.5 else "no"
    return prediction, max(probability, 1.0 - probability), {"no": 1.0 - probability, "yes": probability}
