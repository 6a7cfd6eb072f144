"""SIGKILL at random moments of a training: what a fresh process makes of it is one training, as ever."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.registry import ledger
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run
from evergreen.store.records.training_run import TrainingRun
from support.command_line import environment
from support.own_servers import Database
from support.toy_training import (
    assert_one_clean_training,
    budget,
    declare,
    ended_trials,
    forget_declaration,
    recipe_of,
    toy_world,
)
from support.waiting import eventually

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
TRIALS = 4
# Each training is a process of its own, and of its own group, forked from one that has imported everything.
NURSERY = """
    import json, os, sys
    from datetime import datetime
    from pathlib import Path
    import catboost, mlflow.catboost, optuna, pandas, scipy.sparse, sklearn.pipeline
    from evergreen.ingest import provenance
    from evergreen.loop import train
    from evergreen.registry import models
    from evergreen.registry.succession import candidates
    from evergreen.settings import load_settings
    from evergreen.store.history import training_set
    from evergreen.store.records import training_run
    from evergreen.training import candidate, card
    from evergreen.training.record import card_facts, evidence
    from evergreen.training.search import studies
    from evergreen.training.tracking import training_runs

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            try:
                os.environ.update(order["environment"])
                found = train.run_train(load_settings(), "toy", datetime.fromisoformat(order["as_of"]))
                Path(order["outcome"]).write_text(json.dumps(found))
            except BaseException as error:
                Path(order["outcome"]).write_text(f"{type(error).__name__}: {error}")
                os._exit(1)
            os._exit(0)
        os.setpgid(pid, pid)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)
"""

# When a training that is at work is killed: as soon as this can be seen of it.
Moment = Callable[[Settings], bool]


def a_trial_is_running(number: int) -> Moment:
    return lambda settings: any(
        count > number for count in _asked(settings, "SELECT COUNT(*) FROM trials", "trials")
    )


def trials_have_ended(count: int) -> Moment:
    return lambda settings: len(ended_trials(settings)) >= count


def row_has(field: str) -> Moment:
    def seen(settings: Settings) -> bool:
        return _row(settings) is not None and getattr(_row(settings), field) is not None

    return seen


def artifact_is_there(pattern: str) -> Moment:
    return lambda settings: any((settings.home / "mlflow-artifacts").glob(pattern))


def version_is_registered(settings: Settings) -> bool:
    path = settings.mlflow_tracking_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT COUNT(*) FROM model_versions").fetchone()[0] > 0


def ledger_is_written(settings: Settings) -> bool:
    return bool(ledger.read_entries(get_engine(settings), "toy"))


def moments(dice: random.Random) -> dict[str, Moment]:
    """Two in the search, two in evaluate, one in register and one in promote; the dice choose which."""
    files = [
        "toy/*/artifacts/plots/*.svg",
        "toy/*/artifacts/evaluation.json",
        "toy/models/*/artifacts/model.cb",
    ]
    return {
        "in a trial": a_trial_is_running(dice.randrange(1, TRIALS)),
        "after a trial": trials_have_ended(dice.randrange(1, TRIALS)),
        "while models are fitted": row_has("params"),
        "while the run is logged": artifact_is_there(dice.choice(files)),
        "while it is registered": dice.choice([row_has("verdict"), version_is_registered]),
        "while it is promoted": dice.choice([row_has("model_version"), ledger_is_written]),
    }


class Nursery:
    """Trains in processes of their own, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def train(self, settings: Settings) -> dict[str, Any]:
        """A training from its beginning to its end."""
        self._start(settings)
        assert self._status() == 0, _outcome(settings).read_text()
        return dict(json.loads(_outcome(settings).read_text()))

    def killed(self, settings: Settings, moment: Moment) -> bool:
        """A training that is killed at that moment; False if it was too quick."""
        process = self._start(settings)
        eventually(lambda: _outcome(settings).exists() or moment(settings))
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        status = self._status()
        assert status in (0, signal.SIGKILL), _outcome(settings).read_text()
        return status != 0

    def _start(self, settings: Settings) -> int:
        _outcome(settings).unlink(missing_ok=True)
        places = {
            "EVERGREEN_HOME": str(settings.home),
            "TMPDIR": str(settings.home),
            "EVERGREEN_THREADS": "1",
        }
        order = {
            "environment": {**environment(settings), **places},
            "as_of": AS_OF.isoformat(),
            "outcome": str(_outcome(settings)),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return int(self._line())

    def _status(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """In a folder of its own, in which no training leaves anything."""
    here = tmp_path_factory.mktemp("nursery")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(NURSERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
    )
    yield Nursery(process)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)
    assert list(here.iterdir()) == []


@pytest.fixture(scope="module")
def worlds(
    mariadb: Database,
    tmp_path_factory: pytest.TempPathFactory,
    empty_mlflow: Path,
    toy_frames: Callable[..., dict[str, pd.DataFrame]],
) -> Iterator[Callable[[str], Any]]:
    """A function that makes another store with the same rows, in which the toy has `TRIALS` trials."""
    folder, frames = tmp_path_factory.mktemp("worlds"), toy_frames(600)

    @contextmanager
    def another(name: str) -> Iterator[Settings]:
        with toy_world(mariadb, folder / name, empty_mlflow, frames, AS_OF) as settings:
            declare(settings, budget(trials=TRIALS))
            yield settings

    yield another
    forget_declaration()


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, worlds: Callable[[str], Any]) -> dict[str, Any]:
    """The recipe that a training finds which nobody kills."""
    with worlds("unkilled") as settings:
        return recipe_of(assert_one_clean_training(settings, nursery.train(settings), TRIALS))


@pytest.mark.slow
def test_six_kills_and_a_rerun_each_end_as_the_training_that_nobody_killed(
    nursery: Nursery, worlds: Callable[[str], Any], unkilled: dict[str, Any]
) -> None:
    killed = []
    for name, moment in moments(random.Random(6)).items():
        with worlds(name) as settings:
            killed.append(nursery.killed(settings, moment))
            before = ended_trials(settings)
            row = assert_one_clean_training(settings, nursery.train(settings), TRIALS)
            assert recipe_of(row) == unkilled
            after = ended_trials(settings)
            assert {number: after[number] for number in before} == before, "no trial was done again"
    # Otherwise the kills came too late, and nothing was tried.
    assert killed.count(True) >= 5


@pytest.mark.slow
def test_one_training_survives_six_kills(
    nursery: Nursery, worlds: Callable[[str], Any], unkilled: dict[str, Any]
) -> None:
    with worlds("killed six times") as settings:
        killed = [nursery.killed(settings, moment) for moment in moments(random.Random(7)).values()]
        row = assert_one_clean_training(settings, nursery.train(settings), TRIALS)
        assert recipe_of(row) == unkilled
    assert killed.count(True) >= 5


def _outcome(settings: Settings) -> Path:
    return settings.home / "outcome.json"


def _row(settings: Settings) -> TrainingRun | None:
    wanted = "SELECT COUNT(*) FROM training_run"
    return (
        training_run.get_training_run(
            get_engine(settings), training_run.compute_training_run_id("toy", AS_OF)
        )
        if _asked(settings, wanted)[0]
        else None
    )


def _asked(settings: Settings, query: str, table: str = "training_run") -> list[int]:
    """The numbers that the query finds; none while there is no such table."""
    with get_engine(settings).connect() as connection:
        if not sa.inspect(connection).has_table(table):
            return []
        return [int(number) for number in connection.scalars(sa.text(query))]
