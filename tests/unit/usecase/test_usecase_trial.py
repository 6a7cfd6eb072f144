"""How a trial is declared: what is refused, and that ingest and service do not heed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import Trial, TrialLimits, UseCase
from evergreen.usecase.digest import compute_ingest_digest, compute_serving_digest


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"mode": "canari"}, "did you mean 'canary'"),
        ({"share": 0.0}, "share of a trial is 0"),
        ({"share": 1.1}, "share of a trial is 1.1"),
        ({"share": float("nan")}, "share of a trial is nan"),
        ({"mode": "ab", "share": 0.6}, "each version of an A/B test is 0.6"),
        ({"without_verdict": "promot"}, "did you mean 'promote'"),
        ({"duration": timedelta(0)}, "duration"),
        ({"duration": timedelta(days=91)}, "duration"),
    ],
)
def test_a_trial_that_cannot_be_is_refused(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(UseCaseError) as refusal:
        Trial(**fault)
    assert words in f"{refusal.value.message} {refusal.value.hint}"


@pytest.mark.parametrize(
    "fault",
    [
        {"error_share": -0.1},
        {"error_share": 1.1},
        {"mix_difference": float("nan")},
        {"latency_ratio": -1.0},
        {"latency_ms": float("nan")},
        {"min_rows": 0},
        {"answer_ms": 0.0},
        {"answer_ms": 60_001.0},
        {"answer_ms": float("nan")},
    ],
)
def test_limits_that_cannot_be_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(UseCaseError, match=f"the trial's {next(iter(fault))} is"):
        TrialLimits(**fault)


def test_limits_are_read_as_they_were_written_also_by_another_version() -> None:
    limits = TrialLimits(error_share=0.5, min_rows=7)
    assert TrialLimits.from_json(limits.to_json()) == limits
    assert TrialLimits.from_json({"min_rows": 7, "of_later": 1.0}) == TrialLimits(min_rows=7)


def test_a_trial_changes_neither_what_is_ingested_nor_what_is_served(toy_use_case: UseCase) -> None:
    declared = replace(toy_use_case, trial=Trial("canary", 0.5))
    assert compute_ingest_digest(declared) == compute_ingest_digest(toy_use_case)
    assert compute_serving_digest(declared) == compute_serving_digest(toy_use_case)
