"""The watch over a trial: when it begins, when it ends and why, and what happens while MariaDB is away."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from evergreen.errors import ModelRefused, StoreUnreachable
from evergreen.model.loaded_model import LoadedModel
from evergreen.serving.trial import watch as watch_module
from evergreen.serving.trial.running import RunningTrial
from evergreen.serving.trial.watch import TrialWatch
from support.trials import NOW, Trialbook, build_trial

MODEL = LoadedModel(2, "run-2", None, (), ("no", "yes"))
AWAY = StoreUnreachable("MariaDB does not answer")


class Clock:
    """The moment that the test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def changes() -> list[RunningTrial | None]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


def follow(book: Trialbook, changes: list[Any], clock: Clock) -> TrialWatch:
    watch = TrialWatch(book.build_source(), 1, poll_seconds=60.0, on_change=changes.append, clock=clock)
    watch.check()
    return watch


def test_a_trial_begins_once_and_ends_with_its_row(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(build_trial(), MODEL)
    watch = follow(book, changes, clock)
    watch.check()
    assert book.loads == 1
    running = watch.running
    assert running is not None
    assert changes == [running]
    book.trial = None
    watch.check()
    assert watch.running is None
    assert changes == [running, None]
    assert book.ends == []


def test_another_trial_takes_the_place_of_the_one_before(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(build_trial(), MODEL)
    watch = follow(book, changes, clock)
    book.trial = build_trial(id="trial-2", mode="shadow")
    watch.check()
    assert watch.running is not None
    assert watch.running.trial.id == "trial-2"
    assert [change and change.trial.id for change in changes] == ["trial-1", None, "trial-2"]


def test_a_trial_whose_time_is_over_is_ended_also_where_it_never_began(
    changes: list[Any], clock: Clock
) -> None:
    book = Trialbook(build_trial(ends_at=NOW + timedelta(minutes=5)), MODEL)
    watch = follow(book, changes, clock)
    clock.now = NOW + timedelta(minutes=5)
    watch.check()
    assert watch.running is None
    assert book.ends == [("trial-1", None, "")]
    late = Trialbook(build_trial(ends_at=NOW + timedelta(minutes=5)), MODEL)
    follow(late, changes, clock)
    assert (late.loads, late.ends) == (0, [("trial-1", None, "")])


def test_a_challenger_that_is_refused_ends_its_trial(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(build_trial(), ModelRefused("it is another file"))
    follow(book, changes, clock)
    assert book.ends == [("trial-1", "failed", "the challenger was not put into service: it is another file")]
    assert changes == []


def test_what_is_away_is_asked_again(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(build_trial(), AWAY)
    watch = follow(book, changes, clock)
    assert (watch.running, watch.trouble, book.ends) == (None, AWAY.message, [])
    book.model = MODEL
    watch.check()
    assert watch.running is not None
    assert watch.trouble == ""


def test_without_mariadb_a_trial_goes_on_and_its_limits_hold(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(build_trial(), MODEL)
    watch = follow(book, changes, clock)
    book.trial, book.end_error = AWAY, AWAY
    watch.check()
    running = watch.running
    assert running is not None
    running.challenger.observe_failure(3, "an answer that is not finite")
    # No look is needed: the next request is the champion's.
    assert watch.running is None
    watch.check()
    assert (changes, book.ends) == ([running, None], [])
    # It does not begin again when the row, which is still open, can be read, and the end is told.
    book.trial = build_trial()
    watch.check()
    assert (watch.running, book.ends, book.loads) == (None, [], 1)
    book.end_error = None
    watch.check()
    assert book.ends == [
        ("trial-1", "failed", "it failed on 3 of 3 rows, the last time by an answer that is not finite")
    ]


def test_another_champion_ends_the_trial_but_old_news_does_not(
    changes: list[Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(cast("Any", watch_module).time, "monotonic", lambda: seconds[0])
    book = Trialbook(build_trial(), MODEL, champion=7)
    watch = follow(book, changes, clock)
    assert watch.running is not None
    book.champion = 1
    watch.check()
    book.champion = 7
    seconds[0] = 100.0
    watch.check()
    assert book.ends == []
    seconds[0] = 116.0
    watch.check()
    assert book.ends == [("trial-1", "stopped", "v7 became champion meanwhile")]


def test_whatever_a_source_raises_the_watch_goes_on(changes: list[Any], clock: Clock) -> None:
    book = Trialbook(ZeroDivisionError("a fault"), MODEL)
    watch = follow(book, changes, clock)
    assert watch.trouble == "ZeroDivisionError"
    book.trial = build_trial()
    watch.check()
    assert watch.running is not None
