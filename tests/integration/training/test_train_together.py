"""Trainings of one use case at once take turns; the workers of one search share it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.errors import TrainingError
from evergreen.loop import train
from evergreen.registry import champion_history, ledger
from evergreen.registry.champion import read_champion
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run
from evergreen.training import training_lock
from evergreen.training.tracking import trials
from support.toy_training import (
    assert_one_clean_training,
    budget,
    declare,
    ended_trials,
    forget_declaration,
    mlflow_runs,
)
from support.waiting import eventually

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
WAITING = "waiting for another training of toy: training run"


@pytest.fixture
def declared(toy_store: Settings) -> Iterator[Settings]:
    """A toy of four trials that no second ends."""
    declare(toy_store, budget(trials=4))
    yield toy_store
    forget_declaration()


@pytest.fixture
def both(declared, caplog):
    """A function: train as of one moment and, as soon as that has done a trial, as of another."""

    def run(first, second):
        begun = threading.Event()

        def progress(*_):
            begun.set()
            eventually(lambda: WAITING in caplog.text)

        with caplog.at_level(logging.WARNING, logger="evergreen"), ThreadPoolExecutor(2) as pool:
            one = pool.submit(train.run_train, declared, "toy", first, progress=progress)
            eventually(lambda: begun.is_set() or one.done())
            other = pool.submit(train.run_train, declared, "toy", second)
            return one.result(), other.result()

    return run


def test_two_trainings_as_of_one_moment_are_one(declared, both, caplog):
    one, other = both(AS_OF, AS_OF)
    assert other == one
    assert f"{WAITING} {one['training_run']}, in another process" in caplog.text
    assert_one_clean_training(declared, one, trial_count=4)


def test_trainings_as_of_two_moments_follow_each_other(declared, both, caplog):
    one, other = both(AS_OF, AS_OF + timedelta(hours=1))
    assert f"{WAITING} {one['training_run']} as of 2026-07-01 00:00 UTC (prepared)" in caplog.text
    assert sorted(each["version"] for each in (one, other)) == [1, 2]
    lines = ledger.read_entries(get_engine(declared), "toy")
    # Whoever was compared with a champion that is none any more was rejected for it.
    assert {line.training_run_id: line.action for line in lines} == {
        each["training_run"]: "promote" if each["promoted"] else "reject" for each in (one, other)
    }
    assert len(lines) == 2
    found = read_champion(declared, "toy")
    change = champion_history.find_last_change(get_engine(declared), "toy")
    assert found is not None
    assert change is not None
    assert (found.version, found.promoted_at) == (change.to_version, change.at)
    assert [run.info.status for run in mlflow_runs(declared)[0]] == ["FINISHED", "FINISHED"]


def test_who_does_not_wait_any_longer_is_told_who_is_at_work(declared):
    database = get_engine(declared)
    other = train.prepare_training_set(declared, "toy", AS_OF)["training_run"]
    mine = train.prepare_training_set(declared, "toy", AS_OF + timedelta(hours=1))["training_run"]
    with (
        training_lock.hold_training_lock(database, training_run.get_training_run(database, other)),
        pytest.raises(
            TrainingError, match=f"toy is being trained already: training run {other} as of"
        ) as told,
        training_lock.hold_training_lock(
            database, training_run.get_training_run(database, mine), wait_seconds=1
        ),
    ):
        pass
    assert "then run this training again" in told.value.hint
    with training_lock.hold_training_lock(
        database, training_run.get_training_run(database, mine), wait_seconds=1
    ):
        pass  # it is free again


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_two_workers_do_the_budgets_trials_at_the_same_time(declared, sampler):
    space = "(Between('depth', 2, 4), Between('min_data_in_leaf', 1, 2))"
    declare(
        declared,
        f"tuning=replace(USE_CASE.tuning, trials=6, workers=2, sampler={sampler!r}, pruner='none'"
        + (f", space={space})" if sampler == "grid" else ")"),
    )
    training = train.prepare_training_set(declared, "toy", AS_OF)["training_run"]
    # Each waits after each of its trials until the other has done one, too.
    together = threading.Barrier(2, timeout=60)
    with ThreadPoolExecutor(2) as pool:
        shares = [
            pool.submit(train.run_search_share, declared, training, worker, lambda *_: together.wait())
            for worker in range(2)
        ]
        assert [share.result()["trials"] for share in shares] == [3, 3]
    assert len(ended_trials(declared)) == 6
    assert train.tune_model(declared, training)["trials"] == 6
    [parent], nested = mlflow_runs(declared)
    assert sorted(int(run.data.tags[trials.TRIAL]) for run in nested) == sorted(ended_trials(declared))
    assert {run.data.tags[trials.PARENT] for run in nested} == {parent.info.run_id}
    points = {tuple(sorted(run.data.params.items())) for run in nested}
    assert len(points) == 6


def test_a_worker_that_shows_a_trial_is_not_taken_for_a_killed_one(declared, monkeypatch):
    declare(declared, "tuning=replace(USE_CASE.tuning, workers=2)")
    database = get_engine(declared)
    training = train.prepare_training_set(declared, "toy", AS_OF)["training_run"]
    inside, real, beside = threading.Event(), trials._list_metrics, []

    def the_other_waits_or_is_done():
        with database.connect() as connection:
            waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'"
            waits = connection.exec_driver_sql(waiting).scalar()
            return any(waits or share.done() for share in beside)

    def slow(*args):
        monkeypatch.setattr(trials, "_list_metrics", real)
        inside.set()
        eventually(the_other_waits_or_is_done)
        return real(*args)

    monkeypatch.setattr(trials, "_list_metrics", slow)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(train.run_search_share, declared, training, 0)
        eventually(inside.is_set)
        beside.append(pool.submit(train.run_search_share, declared, training, 1))
        assert [share.result()["trials"] for share in (one, *beside)] == [2, 2]
    assert len(mlflow_runs(declared)[1]) == 4
