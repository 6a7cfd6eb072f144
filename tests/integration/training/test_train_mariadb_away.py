"""MariaDB goes away in the middle of a search: said with what to do, and a rerun goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import optuna
import pytest

from evergreen.errors import StoreUnreachable
from evergreen.loop import train
from evergreen.settings import Settings
from support.own_servers import Database, private_mariadb
from support.toy_training import (
    assert_one_clean_training,
    budget,
    declare,
    ended_trials,
    forget_declaration,
    toy_world,
)

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A server of one's own, for it will be stopped."""
    with private_mariadb(tmp_path_factory.mktemp("server")) as database:
        yield database


@pytest.fixture
def settings(server, tmp_path, empty_mlflow, toy_frames) -> Iterator[Settings]:
    with toy_world(server, tmp_path / "world", empty_mlflow, toy_frames(600), AS_OF) as made:
        declare(made, budget(trials=4, pruner="median"))
        yield made
        forget_declaration()


def assert_the_rerun_goes_on(settings, server, told, trials_before):
    assert "MariaDB" in told.message
    assert told.hint
    server.start()
    before = ended_trials(settings)
    assert len(before) == trials_before
    assert_one_clean_training(settings, train.run_train(settings, "toy", AS_OF), trial_count=4)
    after = ended_trials(settings)
    assert {number: after[number] for number in before} == before


def test_mariadb_away_between_two_trials(settings, server):
    def progress(trial, least, done, of):
        if done == 2:
            server.stop()

    with pytest.raises(StoreUnreachable) as told:
        train.run_train(settings, "toy", AS_OF, progress=progress)
    assert_the_rerun_goes_on(settings, server, told.value, trials_before=2)


def test_mariadb_away_in_the_middle_of_a_fit(settings, server, monkeypatch):
    real = optuna.Trial.report

    def report(trial, value, step):
        if trial.number == 1:
            server.stop()
        real(trial, value, step)

    with monkeypatch.context() as fault:
        fault.setattr(optuna.Trial, "report", report)
        with pytest.raises(StoreUnreachable, match="search of toy could not be kept") as told:
            train.run_train(settings, "toy", AS_OF)
    assert "goes on with the trials that were done" in told.value.hint
    assert_the_rerun_goes_on(settings, server, told.value, trials_before=1)
