"""How long a candidate that waits counts as a retraining that is under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.monitoring.evidence import retrains
from evergreen.store.records.checks.decision import Decision
from evergreen.usecase import Trial, UseCase
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APPROVED = replace(USE_CASE, approval="manual", approval_timeout=2 * DAY)
TRIED = replace(USE_CASE, trial=Trial(duration=6 * HOUR))
BOTH = replace(APPROVED, trial=TRIED.trial)


@pytest.fixture
def judge_wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The outcome and what is under way, of version 5 whose training began so long ago, when version 4 was
    champion."""

    def judge(
        use_case: UseCase, age: timedelta, champion: int | None = 4
    ) -> tuple[retrains.RetrainOutcome, retrains.RetrainUnderWay | None]:
        began = NOW - age
        run = SimpleNamespace(
            status="waiting", model_version=5, champion_version=4, started_at=began, as_of=began
        )
        decision = Decision("id", "toy", began, True, "yes", None, began)
        monkeypatch.setattr(retrains, "find_training_run", lambda *_: run)
        monkeypatch.setattr(retrains, "find_unfinished_run", lambda *_, **__: None)
        monkeypatch.setattr(retrains, "list_decisions", lambda *_, **__: [decision])
        monkeypatch.setattr(retrains, "find_last_change", lambda *_: SimpleNamespace(to_version=champion))
        engine: Any = None
        return (
            retrains.find_retrain_outcome(engine, use_case, decision, NOW),
            retrains.find_retrain_under_way(engine, use_case, NOW),
        )

    return judge


@pytest.mark.parametrize(
    ("use_case", "limit"),
    [
        (USE_CASE, DAY),
        (APPROVED, 3 * DAY),
        (TRIED, DAY + 6 * HOUR),
        (BOTH, 3 * DAY + 6 * HOUR),
    ],
)
def test_a_candidate_waits_for_as_long_as_is_declared(
    judge_wait: Any, use_case: UseCase, limit: timedelta
) -> None:
    outcome, under_way = judge_wait(use_case, limit - HOUR)
    assert (outcome.outcome, outcome.version) == ("running", 5)
    assert under_way == retrains.RetrainUnderWay(NOW - limit + HOUR, outcome.reason)
    outcome, under_way = judge_wait(use_case, limit)
    assert (outcome.outcome, outcome.version, under_way) == ("unknown", 5, None)
    assert "v5 waits although" in outcome.reason


@pytest.mark.parametrize(("champion", "outcome"), [(4, "running"), (5, "running"), (3, "unknown")])
def test_an_overtaken_candidate_keeps_nothing_out(judge_wait: Any, champion: int, outcome: str) -> None:
    result, under_way = judge_wait(APPROVED, HOUR, champion)
    assert (result.outcome, under_way is None) == (outcome, outcome == "unknown")


def test_a_wait_is_told_with_what_ends_it(judge_wait: Any) -> None:
    told = {use_case: judge_wait(use_case, HOUR)[0].reason.split(": ")[1] for use_case in (APPROVED, TRIED)}
    assert told == {APPROVED: "evergreen approve toy 5", TRIED: "evergreen run deploy toy"}
    assert judge_wait(BOTH, HOUR, champion=None)[0].reason == (
        "v5 was compared with v4, and nobody is champion now:"
        " evergreen approve toy 5 or evergreen run deploy toy settles it"
    )
    # Nothing that is declared now lets it wait: its training settles it.
    assert "evergreen train toy --as-of 2026-07-11T23:00:00+00:00" in judge_wait(USE_CASE, HOUR)[0].reason
