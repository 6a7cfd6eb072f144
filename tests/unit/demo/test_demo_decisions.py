"""The demo ends in the same way on every date: its decisions, taken without a stack."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.training.decisions import (
    Decisions,
    Monitoring,
    Training,
    digest_of,
    take_decisions,
    training_sets,
)
from benchmarks.training.demo import MOMENTS, Amount, Demo

FEW = 300


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_training_sets_are_the_same_on_every_date() -> None:
    """Month ends, first days, leap days, New Year, the last of February, hours of a change to summer time.

    A digest covers every row and column of a training set, keys and label too, with each event time as its
    distance from the training's moment.
    """
    digests = {tuple(map(digest_of, training_sets(moment(*each), customers=40))) for each in MOMENTS}
    assert len(digests) == 1
    first, second = digests.pop()
    assert first != second
    other_bank = training_sets(moment(*MOMENTS[0]), seed=1, customers=40)
    assert digest_of(other_bank[0]) != first


def test_training_and_monitoring_decide_the_same_on_a_leap_day_and_on_new_years_eve() -> None:
    """Equal training sets give equal models (by their files' digests), verdicts and findings of drift."""
    leap_day, last_day = moment(2028, 2, 29, 12), moment(2026, 12, 31, 23, 59)
    cheap = {"customers": FEW, "trials": 2, "iterations": 60}
    decided = take_decisions(leap_day, **cheap)
    assert decided == take_decisions(last_day, **cheap)
    assert decided.first.model != decided.second.model
    assert decided.first.rows == decided.second.rows == 5 * FEW


@pytest.mark.slow
def test_the_tour_decides_as_it_should_on_the_last_days_of_november() -> None:
    """At full size, on the date on which the demo once kept the champion that was wrong in the recession."""
    decided = take_decisions(moment(2026, 11, 29, 19, 5))
    assert decided.hold, decided
    assert decided.second.rows == 7_500
    assert decided.v2_accuracy > decided.v1_accuracy + 0.1


def test_a_date_or_bank_that_decides_otherwise_is_counted() -> None:
    model = Training("digest", 7_500, "model", passed=True, summary="passed: it beats them")
    good = Decisions(model, Monitoring(False, "no"), Monitoring(True, "yes"), model, 0.6, 0.8)
    rejected = replace(good, second=replace(model, passed=False))
    digests = {"a": ["1", "2"], "b": ["1", "2"], "c": ["1", "2"], "d": ["1", "3"]}

    def demo(second_date: Decisions, bank: Decisions) -> Demo:
        return Demo(Amount(4, 2, 2), digests, {"a": good, "b": second_date}, {7: good, 8: bank})

    assert (demo(good, good).dates_passed, demo(good, good).seeds_passed) == (0.75, 1.0)
    for wrong in (
        rejected,
        replace(good, first=replace(model, passed=False)),
        replace(good, as_usual=Monitoring(True, "yes")),
        replace(good, in_recession=Monitoring(False, "no")),
        replace(good, v2_accuracy=0.6),
    ):
        assert (demo(wrong, wrong).dates_passed, demo(wrong, wrong).seeds_passed) == (0.5, 0.5)
    assert Demo(Amount(4, 1, 1), digests, {"a": rejected}, {7: good}).dates_passed == 0.0
