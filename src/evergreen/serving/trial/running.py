"""A trial that this worker takes part in: the versions on trial, and the verdict on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.predictions import Predictions
from evergreen.model.request_inputs import RequestValues
from evergreen.serving.trial.arm import Arm
from evergreen.serving.trial.key_share import KeyShare
from evergreen.store.records.model_trial import ModelTrial

logger = logging.getLogger(__name__)


class RunningTrial:
    """A trial with the models of its versions: the challenger, and in some A/B tests its rival.

    One of them alone is compared with the champion; two of them with each other. Once `broken_limit` is set,
    they answer nothing more. `on_broken` is called then, from the thread that saw it; it must return at once.
    """

    def __init__(
        self,
        trial: ModelTrial,
        models: Sequence[LoadedModel],
        key_count: int,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.trial = trial
        self._share = KeyShare(trial.id, trial.share, key_count, len(models))
        others = [int(model.version) for model in reversed(models)] if len(models) > 1 else [None]
        self.arms = [
            Arm(model, trial.limits, other, self.judge) for model, other in zip(models, others, strict=True)
        ]
        if len(self.arms) > 1:
            first, second = self.arms
            first.tally.compare_with(second.tally)
        self.broken_limit = ""
        self._on_broken = on_broken

    @property
    def challenger(self) -> Arm:
        """The version that the trial is about."""
        return self.arms[0]

    def find_arm(self, row: RequestValues, prediction_id: str) -> Arm | None:
        """The version on trial that answers a row of a canary or an A/B test; None for the champion."""
        position = self._share.find_version(row, prediction_id)
        return None if position is None else self.arms[position]

    def observe_champion(self, outcome: Predictions, seconds: float) -> None:
        """Count predictions of the champion's that took so many seconds in the model."""
        for arm in self.arms:
            arm.tally.observe_champion(outcome, seconds)

    def count_rows(self) -> dict[str, int]:
        """Rows of each version by its part in the trial, and those that the versions on trial failed on."""
        names = ("challenger", "rival")
        return {
            "champion": self.challenger.tally.champion_rows,
            **{name: arm.tally.rows for name, arm in zip(names, self.arms, strict=False)},
            "failed": sum(arm.tally.failed for arm in self.arms),
        }

    def judge(self) -> str:
        """The limit that a version on trial breaks, in words; "" while none is broken. The first one
        stays."""
        if self.broken_limit:
            return self.broken_limit
        for arm in self.arms:
            if reason := arm.find_hang() or arm.tally.judge():
                # Two versions are told apart.
                self.broken_limit = f"v{arm.version}: {reason}" if len(self.arms) > 1 else reason
                logger.warning("the trial of version %d ends: %s", self.trial.challenger_version, reason)
                self._on_broken()
                break
        return self.broken_limit

    def start(self) -> None:
        """Start the threads in which the versions predict."""
        for arm in self.arms:
            arm.start()

    def stop(self) -> None:
        """End those threads."""
        for arm in self.arms:
            arm.stop()
