"""A shadow trial: the challenger predicts what the champion has answered, beside the requests."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from evergreen.errors import PredictionLogFull
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.trial.running import RunningTrial
from evergreen.store.predictions.prediction_id import derive_shadow_id

logger = logging.getLogger(__name__)

# So many batches wait for the challenger at most; what it cannot keep up with is left out.
_WAITING_BATCHES = 64
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
        self._batches: queue.Queue[PredictedRows | None] = queue.Queue(_WAITING_BATCHES)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Begin to predict."""
        self._thread.start()

    def submit(self, answered: PredictedRows) -> None:
        """Take a batch that the champion has answered. Returns at once."""
        try:
            self._batches.put_nowait(answered)
        except queue.Full:
            self.dropped += len(answered.rows)

    def stop(self) -> None:
        """End the thread after the batch that it works on; the batches that wait are left out."""
        while True:
            try:
                self._batches.get_nowait()
            except queue.Empty:
                break
        self._batches.put(None)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (answered := self._batches.get()) is not None:
            if self._running.broken_limit:
                continue
            try:
                self._predict(answered)
            except PredictionLogFull:
                self.dropped += len(answered.rows)
            except Exception as error:
                # The thread must go on: an error of the challenger is one of its failures.
                logger.debug("the challenger failed", exc_info=True)
                self._running.observe_failure(len(answered.rows), error)

    def _predict(self, answered: PredictedRows) -> None:
        self._running.tally.observe_champion(answered.outcome, answered.model_seconds)
        ids = [derive_shadow_id(prediction_id) for prediction_id in answered.ids]
        predicted = self._predictor.predict_again(self._running.model, answered, ids)
        if self._running.observe_challenger(predicted.outcome, predicted.model_seconds):
            self._log(predicted)
