"""A thread in which a version on trial predicts, so that nobody has to wait for it longer than he wants."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from evergreen.serving.fast.predictor import PredictedRows

# How long the end of a trial waits for the call that the thread works on.
_END_SECONDS = 2.0


class TrialOver(Exception):
    """The trial has ended before the version on trial was asked."""


class PredictionThread:
    """Does one call after another in a daemon thread. Thread-safe.

    A call that never returns keeps the thread until the process ends; nobody waits for it.
    """

    def __init__(self, name: str) -> None:
        self._calls: deque[tuple[Future[PredictedRows], Callable[[], PredictedRows]]] = deque()
        self._condition = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, call: Callable[[], PredictedRows]) -> Future[PredictedRows]:
        """The future result of a call; TrialOver after `stop`. A future that is cancelled is left out."""
        future: Future[PredictedRows] = Future()
        with self._condition:
            if self._stopped:
                future.set_exception(TrialOver())
            else:
                self._calls.append((future, call))
                self._condition.notify()
        return future

    def stop(self) -> None:
        """End the thread after the call that it works on; those that wait get TrialOver."""
        with self._condition:
            self._stopped = True
            waiting = list(self._calls)
            self._calls.clear()
            self._condition.notify()
        for future, _ in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(TrialOver())
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._calls:
                    if self._stopped:
                        return
                    self._condition.wait()
                future, call = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except Exception as error:  # noqa: BLE001  whoever waits for the result deals with it
                future.set_exception(error)
            else:
                future.set_result(result)
