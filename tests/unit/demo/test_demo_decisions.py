"""The demo ends in the same way on every date: its decisions, taken without a stack."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.training import decisions
from benchmarks.training.decisions import (
    Decisions,
    Monitoring,
    Training,
    digest_of,
    take_decisions,
    training_sets,
)
from benchmarks.training.demo import MOMENTS, Amount, Demo, take_tours

from evergreen.demo.upstream import SEED
from evergreen.training.data.rows import TrainingRows
from evergreen.training.data.split import Cut

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
    """Equal training sets give equal models (by their files' digests), verdicts and findings of drift, fitted
    anew or not."""
    leap_day, last_day = moment(2028, 2, 29, 12), moment(2026, 12, 31, 23, 59)
    cheap = {"trials": 2, "iterations": 60}
    decided = take_decisions(leap_day, customers=FEW, **cheap)
    taken, fits = take_tours([(last_day, SEED), (leap_day, SEED)], FEW, cheap)
    assert list(taken.values()) == [decided, decided]
    assert fits == 2
    assert decided.first.model != decided.second.model
    assert decided.first.rows == decided.second.rows == 5 * FEW


def test_a_date_whose_training_reads_something_else_is_fitted_anew() -> None:
    """Other values, labels or divisions of the rows, another champion, or a feature of the calendar."""
    use_case = decisions.declared()
    rows = decisions.prepare_rows(use_case, training_sets(moment(*MOMENTS[0]), customers=40)[0])
    validation = decisions.split_for_validation(use_case, rows.frame[rows.cuts[0].train])
    champion = SimpleNamespace(told=SimpleNamespace(model="digest"))

    def digest(rows: TrainingRows = rows, validation: Cut = validation, champion: object = None) -> str:
        return decisions._digest_inputs(use_case, rows, validation, champion)  # type: ignore[arg-type]

    by_month = {**rows.columns, "month": rows.frame["event_time"].dt.month.to_numpy()}
    name = next(iter(rows.columns))
    others = [
        digest(replace(rows, columns=by_month)),
        digest(replace(rows, columns={**rows.columns, name: rows.columns[name][::-1]})),
        digest(replace(rows, label=rows.label[::-1])),
        digest(replace(rows, cuts=(Cut(rows.cuts[0].test, rows.cuts[0].train),))),
        digest(validation=Cut(validation.test, validation.train)),
        digest(champion=champion),
        digest(),
    ]
    assert digest() == others.pop()
    assert len({digest(), *others}) == 1 + len(others)


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
    other_rows = replace(good, first=replace(model, dataset="another digest"))

    def demo(second_date: Decisions, bank: Decisions) -> Demo:
        by_date = {"a": good, "b": second_date, "c": good, "d": other_rows}
        return Demo(Amount(4, 2, 2), by_date, {7: good, 8: bank}, date_fits=4)

    assert (demo(good, good).dates_passed, demo(good, good).seeds_passed) == (0.75, 1.0)
    for wrong in (
        rejected,
        replace(good, first=replace(model, passed=False)),
        replace(good, as_usual=Monitoring(True, "yes")),
        replace(good, in_recession=Monitoring(False, "no")),
        replace(good, v2_accuracy=0.6),
    ):
        assert (demo(wrong, wrong).dates_passed, demo(wrong, wrong).seeds_passed) == (0.5, 0.5)
    by_date = {"a": rejected, "b": rejected}
    assert Demo(Amount(2, 1, 1), by_date, {7: good}, date_fits=2).dates_passed == 0.0


def test_a_date_or_bank_that_was_not_measured_has_not_passed() -> None:
    model = Training("digest", 7_500, "model", passed=True, summary="passed: it beats them")
    good = Decisions(model, Monitoring(False, "no"), Monitoring(True, "yes"), model, 0.6, 0.8)
    demo = Demo(Amount(4, 1, 2), {"a": good}, {7: good}, date_fits=2)
    assert (demo.dates_passed, demo.seeds_passed) == (0.25, 0.5)
