"""A version on trial in one worker: its model, the thread in which it predicts, and what was seen of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from time import monotonic

from catboost import CatBoostError

from evergreen.errors import StoreError
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.predictions import Predictions
from evergreen.model.request_inputs import RequestValues
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.trial.prediction_thread import PredictionThread, TrialOver
from evergreen.serving.trial.verdict import TrialTally, find_failure
from evergreen.usecase import TrialLimits


class Arm:
    """A version on trial. `other` is the version that it is compared with.

    `on_suspicion` is called, from the thread that saw it, when something calls for a verdict.
    """

    def __init__(
        self, model: LoadedModel, limits: TrialLimits, other: int | None, on_suspicion: Callable[[], object]
    ) -> None:
        self.model = model
        self.tally = TrialTally(limits, f"v{other}'s" if other else "the champion's")
        self.answer_seconds = limits.answer_ms / 1000.0
        self._on_suspicion = on_suspicion
        self._thread = PredictionThread(f"trial-v{model.version}")
        self._lock = threading.Lock()
        self._calls: dict[int, float] = {}
        # The oldest call when `find_hang` looked last: when it began, and when it was first seen.
        self._suspect: tuple[float, float] | None = None

    @property
    def version(self) -> int:
        """The registered version."""
        return int(self.model.version)

    def start(self) -> None:
        """Start the thread in which it predicts."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; see `PredictionThread.stop`."""
        self._thread.stop()

    def submit(
        self, predictor: Predictor, rows: Sequence[RequestValues], ids: Sequence[str]
    ) -> Future[PredictedRows]:
        """The future predictions of rows, made in the thread."""

        def _predict() -> PredictedRows:
            with self.track_call():
                return predictor.predict(self.model, rows, ids)

        return self._thread.submit(_predict)

    @contextmanager
    def track_call(self) -> Iterator[None]:
        """Keep since when the version is asked, so that `find_hang` sees a call that does not return."""
        me = threading.get_ident()
        with self._lock:
            self._calls[me] = monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(me, None)

    def find_hang(self) -> str:
        """That a call goes on for longer than the limit, in words; "" while none does.

        It has to be seen twice: after a pause of the whole process every call looks old.
        """
        now = monotonic()
        with self._lock:
            began = min(self._calls.values(), default=None)
            if began is None:
                self._suspect = None
            elif self._suspect is None or self._suspect[0] != began:
                self._suspect = began, now
            elif now - self._suspect[1] > self.answer_seconds:
                return self._describe_hang()
        return ""

    def wait_for(self, future: Future[PredictedRows]) -> PredictedRows:
        """The result of a call in the thread. Raises TimeoutError after the limit, and what the call does."""
        try:
            return future.result(self.half_seconds)
        except TimeoutError:
            return future.result(self.half_seconds)

    @property
    def half_seconds(self) -> float:
        """Half of the limit. It is waited for twice, so that a pause of the whole process costs one half."""
        return self.answer_seconds / 2.0

    def take_answer(self, rows: int, get_result: Callable[[], PredictedRows]) -> PredictedRows | None:
        """What `get_result` returns, if it is an answer to so many rows; None where the champion must answer.

        Whatever `get_result` raises is a failure of the version, but for StoreError: an on-demand feature
        that cannot be computed is the row's fault, and the champion's prediction raises it as well.
        """
        try:
            predicted = get_result()
        except TimeoutError:
            self.observe_hang(rows)
        except (StoreError, TrialOver):
            pass
        except Exception as error:  # noqa: BLE001  whatever a version on trial raises, the request is answered
            self.observe_failure(rows, error)
        else:
            return predicted if self.observe_answer(predicted.outcome, predicted.model_seconds) else None
        return None

    def observe_answer(self, outcome: Predictions, seconds: float) -> bool:
        """Count predictions that took so many seconds in the model; False where they are no answers."""
        if failure := find_failure(outcome):
            self.observe_failure(len(outcome.predictions), failure)
            return False
        self.tally.observe_answer(outcome, seconds)
        if self.tally.is_slow(seconds):
            self._on_suspicion()
        return True

    def observe_failure(self, rows: int, reason: str | Exception) -> None:
        """Count rows that the version failed on, by an exception or by what it answered."""
        if isinstance(reason, Exception):
            # The message of an unexpected error may hold a value of a request.
            text = str(reason) if isinstance(reason, CatBoostError) else ""
            reason = f"{type(reason).__name__}{f': {text[:200]}' if text else ''}"
        self.tally.observe_failure(rows, reason)
        self._on_suspicion()

    def observe_hang(self, rows: int) -> None:
        """Count rows that were given to the champion because the version did not answer in time."""
        self.tally.observe_failure(rows, "no answer in time")
        self.tally.note_hang(self._describe_hang())
        self._on_suspicion()

    def _describe_hang(self) -> str:
        return f"it has not answered within {self.answer_seconds:g} s"
