"""MLflow is stopped while a training is at work, and comes back: the training waits, and is there once."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from evergreen.loop import train
from evergreen.registry.succession import aliases
from evergreen.stack.processes.ports import LOOPBACK, find_free_port
from evergreen.training.tracking import training_runs, trials
from support.own_servers import start_guarded, stop
from support.toy_training import assert_one_clean_training, budget, declare, forget_declaration
from support.waiting import eventually

pytestmark = pytest.mark.slow

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


class Server:
    """An MLflow server with SQLite, as the embedded stack starts it, that comes back where it was."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port = find_free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        self._process = start_guarded(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", LOOPBACK, "--port", str(self._port)),
                *("--backend-store-uri", f"sqlite:///{self._home / 'mlflow.db'}"),
                *("--artifacts-destination", str(self._home / "artifacts")),
            ],
            environment={
                **os.environ,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "DO_NOT_TRACK": "true",
            },
            folder=self._home,
            log=self._home / "server.log",
        )
        eventually(self._answers, 180)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "server.log").read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture
def server(tmp_path, empty_mlflow):
    home = tmp_path / "mlflow-server"
    home.mkdir()
    shutil.copy(empty_mlflow, home / "mlflow.db")
    made = Server(home)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def settings(toy_store, server):
    """A toy of three trials, whose MLflow is that server."""
    declare(toy_store, budget(trials=3))
    yield toy_store.model_copy(update={"mlflow_tracking_uri": server.url})
    forget_declaration()


@pytest.fixture
def outage(monkeypatch, server):
    """A function: stop the server before or after the first call of that function, for some seconds."""
    over, threads = threading.Event(), []

    def come_back(seconds):
        over.wait(seconds)
        server.start()
        over.wait()  # a process ends with the thread that started it

    def at(module, name, *, after=False, seconds=0.0):
        real = getattr(module, name)

        def hit(*args, **kwargs):
            monkeypatch.setattr(module, name, real)
            found = real(*args, **kwargs) if after else None
            server.stop()
            threads.append(threading.Thread(target=come_back, args=(seconds,)))
            threads[-1].start()
            return found if after else real(*args, **kwargs)

        monkeypatch.setattr(module, name, hit)

    yield at
    over.set()
    for thread in threads:
        thread.join()


def test_an_outage_in_the_search_and_one_between_ledger_and_alias(settings, outage, caplog):
    outage(trials, "log_trials", after=True)
    outage(aliases, "set_champion")
    with caplog.at_level(logging.WARNING, logger="evergreen"):
        outcome = train.run_train(settings, "toy", AS_OF)
    assert "the trial is not shown in MLflow yet: MLflow does not answer" in caplog.text
    assert "trying again in" in caplog.text
    assert_one_clean_training(settings, outcome, trial_count=3)


def test_half_a_minute_without_mlflow_in_the_middle_of_logging(settings, outage, caplog):
    outage(training_runs, "_log_model", seconds=30)
    outcome = train.run_train(settings, "toy", AS_OF)
    assert sum("trying again in" in message for message in caplog.messages) >= 3
    assert_one_clean_training(settings, outcome, trial_count=3)
