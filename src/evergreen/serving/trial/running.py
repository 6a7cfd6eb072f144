"""A trial that this worker takes part in: the challenger's model, and what was seen of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from catboost import CatBoostError

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.predictions import Predictions
from evergreen.serving.trial.key_share import KeyShare
from evergreen.serving.trial.verdict import TrialTally, find_failure
from evergreen.store.records.model_trial import ModelTrial

logger = logging.getLogger(__name__)


class RunningTrial:
    """A trial with its challenger's model. Once `broken_limit` is set, the challenger answers nothing more.

    `on_broken` is called then, from the thread that saw it; it must return at once.
    """

    def __init__(
        self,
        trial: ModelTrial,
        model: LoadedModel,
        key_count: int,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.trial = trial
        self.model = model
        self.tally = TrialTally(trial.limits)
        self.share = KeyShare(trial.id, trial.share, key_count)
        self.broken_limit = ""
        self._on_broken = on_broken

    def observe_challenger(self, outcome: Predictions, seconds: float) -> bool:
        """Count predictions of the challenger; False where they are no answers."""
        if failure := find_failure(outcome):
            self.observe_failure(len(outcome.predictions), failure)
            return False
        self.tally.observe_challenger(outcome, seconds)
        if self.tally.is_slow(seconds):
            self.judge()
        return True

    def observe_failure(self, rows: int, reason: str | Exception) -> None:
        """Count rows that the challenger failed on, by an exception or by what it answered."""
        if isinstance(reason, Exception):
            # The message of an unexpected error may hold a value of a request.
            text = str(reason) if isinstance(reason, CatBoostError) else ""
            reason = f"{type(reason).__name__}{f': {text[:200]}' if text else ''}"
        self.tally.observe_failure(rows, reason)
        self.judge()

    def judge(self) -> str:
        """The limit that the challenger breaks, in words; "" while it breaks none. The first one stays."""
        if not self.broken_limit and (reason := self.tally.judge()):
            self.broken_limit = reason
            logger.warning("the trial of version %d ends: %s", self.trial.challenger_version, reason)
            self._on_broken()
        return self.broken_limit
