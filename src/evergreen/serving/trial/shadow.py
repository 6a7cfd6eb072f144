"""A shadow trial: the challenger predicts what the champion has answered, beside the requests."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from evergreen.errors import PredictionLogFull
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.trial.running import RunningTrial
from evergreen.store.predictions.prediction_id import derive_shadow_id

logger = logging.getLogger(__name__)

# So many batches and rows wait for the challenger at most; what it cannot keep up with is left out.
_WAITING_BATCHES = 64
MOST_WAITING_ROWS = 16_384
# How long the end of a trial waits for the batch that the challenger works on.
_END_SECONDS = 2.0


class ShadowThread:
    """Has the challenger predict batches in a thread, and gives its predictions to `log`.

    `dropped` counts rows that were left out: the challenger could not keep up, or the log is full.
    """

    def __init__(
        self, predictor: Predictor, running: RunningTrial, log: Callable[[PredictedRows], None]
    ) -> None:
        self._predictor = predictor
        self._running = running
        self._log = log
        self._batches: deque[PredictedRows] = deque()
        self._waiting_rows = 0
        self._condition = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Begin to predict."""
        self._thread.start()

    def submit(self, answered: PredictedRows) -> None:
        """Take a batch that the champion has answered. Returns at once."""
        rows = len(answered.rows)
        with self._condition:
            is_full = len(self._batches) >= _WAITING_BATCHES or self._waiting_rows + rows > MOST_WAITING_ROWS
            if is_full or self._stopped:
                self.dropped += rows
                return
            self._batches.append(answered)
            self._waiting_rows += rows
            self._condition.notify()

    def drop(self, rows: int) -> None:
        """Count rows that were not even submitted."""
        with self._condition:
            self.dropped += rows

    def stop(self) -> None:
        """End the thread after the batch that it works on; the batches that wait are left out."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (answered := self._take_batch()) is not None:
            if self._running.broken_limit:
                continue
            try:
                self._predict(answered)
            except PredictionLogFull:
                self.drop(len(answered.rows))
            except Exception as error:
                # The thread must go on: an error of the challenger is one of its failures.
                logger.debug("the challenger failed", exc_info=True)
                self._running.challenger.observe_failure(len(answered.rows), error)

    def _take_batch(self) -> PredictedRows | None:
        """The next batch, waited for; None after `stop`."""
        with self._condition:
            while not self._batches and not self._stopped:
                self._condition.wait()
            if self._stopped:
                return None
            answered = self._batches.popleft()
            self._waiting_rows -= len(answered.rows)
            return answered

    def _predict(self, answered: PredictedRows) -> None:
        self._running.observe_champion(answered.outcome, answered.model_seconds)
        ids = [derive_shadow_id(prediction_id) for prediction_id in answered.ids]
        challenger = self._running.challenger
        with challenger.track_call():
            predicted = self._predictor.predict_again(challenger.model, answered, ids)
        # A call that comes back after the end of its trial is no answer.
        if (
            challenger.observe_answer(predicted.outcome, predicted.model_seconds)
            and not self._running.broken_limit
        ):
            self._log(predicted)
