"""Losses of a trial's versions on a real store: of shadows on the same rows, of canaries on their own."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from evergreen.model.error_profile.profile import ClassErrorProfile
from evergreen.model.error_profile.store import save_error_profile
from evergreen.monitoring.quality.trials.trial_losses import compare_trial_versions
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_id import derive_shadow_id
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.usecase import UseCase
from support.outcomes import record_outcome
from support.trials import build_trial

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
TRIAL = build_trial(use_case="toy", started_at=START, ends_at=START + timedelta(hours=2))


@pytest.fixture
def toy(toy_use_case: UseCase) -> UseCase:
    """The toy, judged by the share of right answers."""
    return replace(toy_use_case, gate=replace(toy_use_case.gate, metric="accuracy"))


def make_id(at: datetime) -> str:
    noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=(round(at.timestamp() * 1000) << 80) | (0x7 << 76) | noise))


def log(
    database: sa.Engine,
    use_case: UseCase,
    count: int,
    *,
    version: int,
    channel: str,
    prediction: str = "no",
    ids: list[str] | None = None,
    confidence: float = 0.8,
    at: datetime = START + timedelta(minutes=5),
) -> list[str]:
    ids = ids or [make_id(at) for _ in range(count)]
    rows = [
        PredictionRow(each, version, channel, {"client_id": n}, prediction, confidence)
        for n, each in enumerate(ids)
    ]
    assert insert_predictions(database, use_case, rows) == len(rows)
    return ids


def learn(database: sa.Engine, use_case: UseCase, ids: list[str], right: int) -> None:
    """The outcome is "no" for so many of them, "yes" for the others."""
    for number, prediction_id in enumerate(ids):
        actual = "no" if number < right else "yes"
        record_outcome(database, use_case, prediction_id, actual, START + timedelta(days=3))


def test_a_canary_is_compared_on_its_own_rows(database: sa.Engine, toy: UseCase) -> None:
    champion = log(database, toy, 200, version=1, channel="online")
    challenger = log(database, toy, 200, version=2, channel="challenger")
    log(database, toy, 50, version=1, channel="online", at=START - timedelta(minutes=1))
    early = log(database, toy, 50, version=2, channel="challenger", at=START - timedelta(minutes=1))
    learn(database, toy, champion, right=100)
    learn(database, toy, challenger, right=190)
    learn(database, toy, early, right=0)
    compared = compare_trial_versions(database, toy, TRIAL)
    assert compared.difference is not None
    assert (compared.basis, compared.paired, compared.difference.rows) == ("realised", False, 400)
    assert compared.difference.value == pytest.approx(-0.45)
    assert compared.better == 2
    assert compared.sentence.startswith(
        "v2 is better than v1: share of wrong answers of v2 less v1's is -0.45"
    )


def test_a_shadow_is_compared_on_the_champions_rows(database: sa.Engine, toy: UseCase) -> None:
    trial = replace(TRIAL, mode="shadow", share=1.0)
    ids = log(database, toy, 120, version=1, channel="online")
    shadows = [derive_shadow_id(each) for each in ids]
    log(database, toy, 0, version=2, channel="shadow", ids=shadows[:60])
    log(database, toy, 0, version=2, channel="shadow", ids=shadows[60:100], prediction="yes")
    learn(database, toy, ids[:110], right=50)
    compared = compare_trial_versions(database, toy, trial)
    assert compared.difference is not None
    # 100 rows have an outcome and a shadow; only the 40 where both differ tell, and there v2 is right.
    assert (compared.basis, compared.paired, compared.difference.rows) == ("realised", True, 100)
    assert compared.difference.value == pytest.approx(-0.4)
    assert compared.better == 2


def test_two_versions_of_an_ab_test_are_compared_with_each_other(database: sa.Engine, toy: UseCase) -> None:
    trial = replace(TRIAL, mode="ab", share=0.5, rival_version=3, rival_run_id="run-3")
    learn(database, toy, log(database, toy, 150, version=2, channel="challenger"), right=20)
    learn(database, toy, log(database, toy, 150, version=3, channel="challenger"), right=140)
    learn(database, toy, log(database, toy, 10, version=1, channel="online"), right=10)
    compared = compare_trial_versions(database, toy, trial)
    assert (compared.one, compared.other, compared.better) == (2, 3, 3)
    assert compared.is_worse


def test_probabilities_are_judged_where_the_gate_judges_them(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    assert toy_use_case.gate.metric == "roc_auc"
    sure = log(database, toy_use_case, 150, version=1, channel="online", confidence=0.95)
    vague = log(database, toy_use_case, 150, version=2, channel="challenger", confidence=0.55)
    learn(database, toy_use_case, [*sure, *vague], right=300)
    compared = compare_trial_versions(database, toy_use_case, TRIAL)
    assert compared.loss == "Brier score"
    assert compared.difference is not None
    assert compared.difference.value == pytest.approx(0.45**2 - 0.05**2)


def test_without_outcomes_the_estimates_are_compared(database: sa.Engine, toy: UseCase) -> None:
    log(database, toy, 600, version=1, channel="online", confidence=0.6)
    log(database, toy, 600, version=2, channel="challenger", confidence=0.95)
    nothing = compare_trial_versions(database, toy, TRIAL)
    assert (nothing.basis, nothing.better) == ("none", None)
    assert nothing.sentence.endswith("outcomes have not come for both")
    for version in (1, 2):
        profile = ClassErrorProfile(0, 0.0, np.zeros(3), np.eye(3) * 1e-4, (1.0,), 500, {"accuracy": 0.8}, {})
        save_error_profile(database, "toy", version, profile)
    compared = compare_trial_versions(database, toy, TRIAL)
    assert (compared.basis, compared.better, compared.is_worse) == ("estimated", 2, False)
    assert compared.difference is not None
    assert compared.difference.value == pytest.approx(-0.35)
    assert "v2 is better than v1 by estimate" in compared.sentence


def test_numbers_are_compared_by_their_absolute_errors(database: sa.Engine, toy: UseCase) -> None:
    from evergreen.store.tables.create import create_tables

    number = replace(toy, name="number", label=replace(toy.label, classes=()))
    create_tables(database, number)
    rng = np.random.default_rng(1)
    for version, channel, spread in ((1, "online", 5.0), (2, "challenger", 1.0)):
        rows = [
            PredictionRow(make_id(START + timedelta(minutes=1)), version, channel, {"client_id": n}, 100.0)
            for n in range(120)
        ]
        insert_predictions(database, number, rows)
        for row in rows:
            actual = 100.0 + spread * float(rng.choice([-1.0, 1.0])) * (1.0 + rng.random())
            record_outcome(database, number, row.prediction_id, actual, START + timedelta(days=1))
    compared = compare_trial_versions(database, number, replace(TRIAL, use_case="number"))
    assert (compared.loss, compared.better) == ("mean absolute error", 2)
