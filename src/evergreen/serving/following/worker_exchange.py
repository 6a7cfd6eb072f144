"""Replaces the worker processes of a service under circus, one after another, on the same listening socket.

circus itself can only end a process before it starts the next one, or start one without knowing when it is
ready. So a new worker is started beside the present ones and kept from circus until it is ready; then circus
gets it, and ends the oldest one. A worker that is not to take over has answered nothing.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from evergreen.serving.following.exchange_folder import (
    FOLDER_VARIABLE,
    SUCCESSOR_VARIABLE,
    ExchangeFolder,
    SuccessorReport,
)
from evergreen.serving.following.refusal import DeclarationRefusal
from evergreen.waiting import wait_until

logger = logging.getLogger(__name__)

# A worker starts in seconds; on a machine that is busy with a training it takes longer.
_READY_SECONDS = 180.0
# How long a worker may take to hand over its connections and to deliver its log.
_RETIRE_SECONDS = 60.0
_LOOP_SECONDS = 30.0
_POLL_SECONDS = 0.1

Result = TypeVar("Result")


class ServiceStopping(Exception):
    """The service is being stopped."""


class WorkerExchange:
    """Replaces the workers of a circus `arbiter` with one watcher. Called from another thread than circus'.

    `on_ended` is called after a former worker has ended.
    """

    def __init__(self, arbiter: Any, folder: ExchangeFolder, on_ended: Callable[[], None]) -> None:
        self._arbiter = arbiter
        (self._watcher,) = arbiter.iter_watchers()
        self._folder = folder
        self._on_ended = on_ended
        self._watcher.env[FOLDER_VARIABLE] = str(folder.path)

    def replace_workers(self) -> str | DeclarationRefusal:
        """Replace each worker by a new one; the digest of what they hold, or why the present ones stay.

        When the first new worker is refused, nothing has changed. Raises ServiceStopping.
        """
        held: set[str] = set()
        count = int(self._watcher.numprocesses)
        for number in range(count):
            report = self._replace_worker()
            if report.refusal is not None:
                if number == 0:
                    return report.refusal
                reason = f"{number} of {count} workers hold it, and the next one is not ready: "
                return DeclarationRefusal(reason + report.refusal.reason, report.refusal.hint, passing=True)
            held.add(report.declaration)
        # Where the files changed meanwhile, no digest is right for all, and the change is seen next.
        return held.pop() if len(held) == 1 else ""

    def _replace_worker(self) -> SuccessorReport:
        process = self._run_on_loop(self._start_successor)
        try:
            report = self._wait_for_report(process)
        except ServiceStopping:
            _kill(process.pid)
            raise
        if report.refusal is not None:
            _kill(process.pid)
            self._folder.forget_worker(process.pid)
            return report
        former = self._run_on_loop(lambda: self._admit(process))
        self._folder.forget_worker(process.pid)
        if former is not None:
            self._wait_for_end(former)
        return report

    def _start_successor(self) -> Any:
        """Start a worker that circus does not know of. In circus' loop, so that it sees none of the steps."""
        watcher = self._watcher
        if not watcher.is_active():
            raise ServiceStopping
        known = set(watcher.processes)
        watcher.env[SUCCESSOR_VARIABLE] = str(os.getpid())
        try:
            watcher.spawn_process()
        finally:
            del watcher.env[SUCCESSOR_VARIABLE]
        started = [watcher.processes.pop(pid) for pid in list(watcher.processes) if pid not in known]
        if not started:
            raise ServiceStopping
        return started[0]

    def _wait_for_report(self, process: Any) -> SuccessorReport:
        """What a new worker says of itself. Raises ServiceStopping."""

        def find_report() -> SuccessorReport | None:
            """The worker's report, or a refusal where it has ended without one; None while it starts."""
            if not self._watcher.is_active():
                raise ServiceStopping
            report = self._folder.read_successor_report(process.pid)
            if report is None and not process.is_alive():
                return _refuse_worker("the new worker ended before it was ready")
            return report

        report = wait_until(find_report, _READY_SECONDS, poll_seconds=_POLL_SECONDS)
        return report or _refuse_worker(f"the new worker was not ready within {_READY_SECONDS:g} seconds")

    def _admit(self, process: Any) -> Any:
        """Give circus the new worker, and begin to end the oldest one, which is returned. In circus' loop."""
        watcher = self._watcher
        if not watcher.is_active():
            _kill(process.pid)
            raise ServiceStopping
        others = [each for each in watcher.processes.values() if not each.stopping]
        watcher.processes[process.pid] = process
        if len(others) < watcher.numprocesses:
            return None  # one died meanwhile, and the new worker is in its place
        former = min(others, key=lambda each: each.started)
        self._folder.mark_retired(former.pid)
        # It sends SIGTERM now, and goes on in the loop. circus leaves a process alone that is being ended.
        watcher.kill_process(former, graceful_timeout=_RETIRE_SECONDS)
        return former

    def _wait_for_end(self, former: Any) -> None:
        """Wait until a former worker has ended, also where the service is being stopped meanwhile."""
        seconds = _RETIRE_SECONDS + _LOOP_SECONDS
        wait_until(lambda: not former.is_alive(), seconds, poll_seconds=_POLL_SECONDS)
        self._folder.forget_worker(former.pid)
        self._on_ended()

    def _run_on_loop(self, call: Callable[[], Result]) -> Result:
        """What `call` returns or raises in circus' loop, whose objects belong to that thread."""
        outcome: Future[Result] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001  the waiting thread raises it
                outcome.set_exception(error)

        self._arbiter.loop.add_callback(run)
        try:
            return outcome.result(_LOOP_SECONDS)
        except TimeoutError:
            raise ServiceStopping from None


def _refuse_worker(reason: str) -> SuccessorReport:
    """The report on a worker that has made none."""
    return SuccessorReport("", DeclarationRefusal(reason, hint="the service's log says why", passing=True))


def _kill(pid: int) -> None:
    """End a worker that answers nothing; circus reaps it."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
