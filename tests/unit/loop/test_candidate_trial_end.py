"""Deploy waits for a trial, but not longer than the trial may last."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.loop.deployment import candidate_trial, deploy
from evergreen.loop.deployment.candidate_trial import CandidateTrial
from evergreen.settings import Settings
from evergreen.store.records.model_trial import ModelTrial
from support.trials import build_trial

STARTED: CandidateTrial = {"trial": "trial-1", "training_run": "run-1", "version": 2}


def put_into_store(monkeypatch: pytest.MonkeyPatch, trial: ModelTrial) -> list[str]:
    """Let that be the trial in the store; the actors by whom it is ended."""
    rows, actors = [trial], []

    def end(*_: object, actor: str) -> ModelTrial:
        actors.append(actor)
        rows[0] = replace(trial, ended_at=datetime.now(UTC), outcome="no_verdict", ended_by=actor)
        return rows[0]

    monkeypatch.setattr(candidate_trial, "get_engine", lambda *_: None)
    monkeypatch.setattr(candidate_trial, "load_use_case", lambda *_: None)
    monkeypatch.setattr(candidate_trial, "find_trial", lambda *_: rows[0])
    monkeypatch.setattr(candidate_trial, "end_trial_in_time", end)
    return actors


def test_a_trial_that_no_service_ends_is_ended_by_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue = build_trial(ends_at=datetime.now(UTC) - timedelta(hours=1))
    actors = put_into_store(monkeypatch, overdue)
    monkeypatch.setattr(deploy, "start_candidate_trial", lambda *_: STARTED)
    monkeypatch.setattr(deploy, "settle_candidate_trial", lambda *_: {"promoted": True})
    steps = deploy.try_candidate(Settings(), "parcel")
    assert steps == {"trial": STARTED, "settle": {"promoted": True}}
    assert actors == ["deploy"]


@pytest.mark.parametrize("late", [timedelta(hours=-1), timedelta(seconds=1)])
def test_a_trial_that_is_not_long_overdue_is_left_to_the_services(
    monkeypatch: pytest.MonkeyPatch, late: timedelta
) -> None:
    # Seen at one fixed moment, because the tests may be slow.
    now = datetime(2026, 6, 1, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now

    monkeypatch.setattr(candidate_trial, "datetime", Clock)
    actors = put_into_store(monkeypatch, build_trial(ends_at=now - late))
    assert not candidate_trial.is_trial_over(Settings(), "parcel", STARTED)
    assert actors == []
