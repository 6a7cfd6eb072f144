"""Workers are replaced one by one; a new one that is not to take over leaves the present ones alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen.serving.following import worker_exchange
from evergreen.serving.following.exchange_folder import (
    FOLDER_VARIABLE,
    SUCCESSOR_VARIABLE,
    ExchangeFolder,
    SuccessorReport,
)
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.serving.following.worker_exchange import ServiceStopping, WorkerExchange

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
UNSUITED = DeclarationRefusal("version 1 does not fit", "train it again")


class Process:
    """A real process, with what circus knows of it."""

    def __init__(self, started: int) -> None:
        self.popen = subprocess.Popen(SLEEP)
        self.pid, self.started, self.stopping = self.popen.pid, started, False

    def is_alive(self) -> bool:
        return self.popen.poll() is None


class Watcher:
    """A group of workers as circus has it; `report` is called with the pid of each one that is started."""

    def __init__(self, count: int, report: Callable[[int], None]) -> None:
        self.numprocesses, self._report = count, report
        self.env: dict[str, str] = {"PATH": ""}
        self.active = True
        self.all: list[Process] = []
        self.environments: list[dict[str, str]] = []
        self.processes: dict[int, Process] = {}
        for _ in range(count):
            self.spawn_process()
        self.first = list(self.processes)

    def is_active(self) -> bool:
        return self.active

    def spawn_process(self) -> None:
        process = Process(started=len(self.all))
        self.all.append(process)
        self.environments.append(dict(self.env))
        self.processes[process.pid] = process
        if len(self.all) > self.numprocesses:
            self._report(process.pid)

    def kill_process(self, process: Process, graceful_timeout: float) -> None:
        process.stopping = True
        process.popen.send_signal(signal.SIGTERM)
        process.popen.wait(30)
        del self.processes[process.pid]


class Stage:
    """An exchange of `count` workers whose new ones report what `reports` has, in order."""

    def __init__(self, folder: Path, count: int, reports: list[SuccessorReport | None]) -> None:
        self.folder = ExchangeFolder(folder)
        self.retired: list[int] = []
        self.ended = 0

        def report(pid: int) -> None:
            if (given := reports.pop(0)) is not None:
                self.folder.write_successor_report(pid, given)

        self.watcher = Watcher(count, report)
        loop = SimpleNamespace(add_callback=lambda call: call())
        arbiter = SimpleNamespace(iter_watchers=lambda: [self.watcher], loop=loop)
        mark, self.folder.mark_retired = self.folder.mark_retired, self.retired.append  # type: ignore[method-assign]
        assert mark is not None
        self.exchange = WorkerExchange(arbiter, self.folder, self._count_end)

    def _count_end(self) -> None:
        self.ended += 1

    def close(self) -> None:
        for process in self.watcher.all:
            process.popen.kill()
            process.popen.wait(30)


@pytest.fixture
def stage(tmp_path: Path) -> Any:
    stages: list[Stage] = []

    def build(count: int, *reports: SuccessorReport | None) -> Stage:
        stages.append(Stage(tmp_path, count, list(reports)))
        return stages[-1]

    yield build
    for each in stages:
        each.close()


def test_every_worker_is_replaced_the_oldest_first(stage: Any) -> None:
    made = stage(2, SuccessorReport("new"), SuccessorReport("new"))
    assert made.exchange.replace_workers() == "new"
    assert made.retired == made.watcher.first
    assert set(made.watcher.processes).isdisjoint(made.watcher.first)
    assert len(made.watcher.processes) == made.watcher.numprocesses == made.ended == 2
    successors = made.watcher.environments[2:]
    assert [each[SUCCESSOR_VARIABLE] for each in successors] == [str(os.getpid())] * 2
    # A worker that circus starts later in the place of a dead one is no successor.
    assert made.watcher.env == {"PATH": "", FOLDER_VARIABLE: str(made.folder.path)}


def test_a_refused_successor_is_ended_and_nothing_else_changes(stage: Any) -> None:
    made = stage(2, SuccessorReport("new", UNSUITED))
    assert made.exchange.replace_workers() == UNSUITED
    assert list(made.watcher.processes) == made.watcher.first
    assert made.watcher.all[-1].popen.wait(30) == -signal.SIGKILL
    assert (made.retired, made.ended) == ([], 0)


def test_a_successor_that_dies_is_a_passing_refusal(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stage(1, None)
    monkeypatch.setattr(worker_exchange, "_POLL_SECONDS", 0.01)
    started = made.watcher.spawn_process

    def spawn_and_die() -> None:
        started()
        made.watcher.all[-1].popen.kill()
        made.watcher.all[-1].popen.wait(30)

    monkeypatch.setattr(made.watcher, "spawn_process", spawn_and_die)
    refusal = made.exchange.replace_workers()
    assert isinstance(refusal, DeclarationRefusal)
    assert refusal.passing
    assert "ended before it was ready" in refusal.reason
    assert list(made.watcher.processes) == made.watcher.first


def test_a_later_successor_that_fails_is_told_with_the_number(stage: Any) -> None:
    made = stage(2, SuccessorReport("new"), SuccessorReport("new", UNSUITED))
    refusal = made.exchange.replace_workers()
    assert isinstance(refusal, DeclarationRefusal)
    assert refusal.passing
    assert refusal.reason == "1 of 2 workers hold it, and the next one is not ready: version 1 does not fit"
    assert len(made.watcher.processes) == 2


def test_files_that_change_between_two_workers_are_seen_as_a_change(stage: Any) -> None:
    made = stage(2, SuccessorReport("new"), SuccessorReport("newer"))
    assert made.exchange.replace_workers() == ""


def test_nothing_is_started_while_the_service_ends(stage: Any) -> None:
    made = stage(1, SuccessorReport("new"))
    made.watcher.active = False
    with pytest.raises(ServiceStopping):
        made.exchange.replace_workers()
    assert len(made.watcher.all) == 1


def test_a_worker_that_died_meanwhile_is_what_the_new_one_replaces(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(1, SuccessorReport("new"))
    monkeypatch.setattr(
        made.exchange, "_wait_for_report", lambda _: made.watcher.processes.clear() or SuccessorReport("new")
    )
    assert made.exchange.replace_workers() == "new"
    assert list(made.watcher.processes) == [made.watcher.all[-1].pid]
    assert made.retired == []


def test_a_successor_ends_with_the_service(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stage(1, None)
    started = made.watcher.spawn_process

    def spawn_and_stop() -> None:
        started()
        made.watcher.active = False  # SIGTERM to the service

    monkeypatch.setattr(made.watcher, "spawn_process", spawn_and_stop)
    with pytest.raises(ServiceStopping):
        made.exchange.replace_workers()
    assert made.watcher.all[-1].popen.wait(30) == -signal.SIGKILL
    assert list(made.watcher.processes) == made.watcher.first
