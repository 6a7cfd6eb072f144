"""One trial of a search: fit with early stopping, report to the pruner, measure the loss, calibrate."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from evergreen.training.fit.calibrating import calibrate_model
from evergreen.training.fit.fitting import Machine, build_model, fit_catboost
from evergreen.training.search.samplers import suggest_value
from evergreen.training.search.trial import LossCurve
from evergreen.usecase import UseCase

# How often at most in its course a trial reports its validation loss to the pruner.
REPORTS = 12
_LEAST_TREES_BETWEEN = 10
_CURVE_POINTS = 200


class Objective:
    """The function that a study minimises: the validation loss of CatBoost with a trial's parameters.

    `train` and `validation` are CatBoost pools, `truth` holds the labels of the latter, of shape (rows,).
    A trial's worker, start, seconds of fitting, number of trees, loss curve and calibration go to its user
    attributes, where `trial.list_trials` reads them.
    """

    def __init__(
        self,
        use_case: UseCase,
        train: Any,
        validation: Any,
        truth: np.ndarray,
        class_weights: Sequence[float],
        worker: int,
        machine: Machine,
    ) -> None:
        self._use_case = use_case
        self._train, self._validation, self._truth = train, validation, truth
        self._class_weights = class_weights
        self._worker = worker
        self._machine = machine

    def __call__(self, trial: optuna.Trial) -> float:
        """Fit one trial and return its loss. Raises optuna.TrialPruned, TrainingError."""
        trial.set_user_attr("worker", self._worker)
        trial.set_user_attr("started", time.time())
        budget = self._use_case.tuning
        params = {s.parameter: suggest_value(trial, s) for s in budget.space}
        callback = _PruningCallback(trial, max(_LEAST_TREES_BETWEEN, budget.iterations // REPORTS))
        model = build_model(
            self._use_case, {**params, "iterations": budget.iterations}, self._machine, self._class_weights
        )
        # CatBoost takes no callbacks on a GPU: there a trial runs to its end.
        callbacks = {"callbacks": [callback]} if self._machine.task_type == "CPU" else {}
        start = time.monotonic()
        fit_catboost(
            model,
            self._use_case,
            self._train,
            eval_set=self._validation,
            early_stopping_rounds=budget.early_stopping_rounds,
            **callbacks,
        )
        if callback.error is not None:
            raise callback.error
        trial.set_user_attr("seconds", round(time.monotonic() - start - callback.seconds, 3))
        trial.set_user_attr("curve", callback.build_curve().to_json())
        if callback.pruned:
            trial.set_user_attr("trees", callback.trees)
            raise optuna.TrialPruned
        loss = float(next(iter(model.get_best_score()["validation"].values())))
        trial.set_user_attr("trees", int(model.get_best_iteration()) + 1)
        # By the validation rows, which this trial was not fitted on.
        calibration = calibrate_model(
            self._use_case, model, self._validation, self._truth, self._class_weights
        )
        trial.set_user_attr("calibration", calibration.to_json())
        return loss


class _PruningCallback:
    """CatBoost's callback: collects the loss by trees, and ends a fit that Optuna's pruner gives up.

    `error`: what was raised in the callback; passed through CatBoost it would look like a refusal of
    CatBoost's own. `seconds`: how long the calls to the pruner took.
    """

    def __init__(self, trial: optuna.Trial, every: int) -> None:
        self._trial = trial
        self._every = every
        self.trees = 0
        self.pruned = False
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._train_losses: list[float] = []
        self._validation_losses: list[float] = []

    def after_iteration(self, info: Any) -> bool:
        """Called by CatBoost after each tree; False ends the fit."""
        self.trees = int(info.iteration)
        for rows_name, losses in (("learn", self._train_losses), ("validation", self._validation_losses)):
            losses.append(float(next(iter(info.metrics[rows_name].values()))[-1]))
        if self.trees % self._every == 0 and math.isfinite(self._validation_losses[-1]):
            start = time.monotonic()
            try:
                self._trial.report(self._validation_losses[-1], self.trees)
                self.pruned = self._trial.should_prune()
            except BaseException as error:  # noqa: BLE001  raised again by the objective
                self.error = error
                return False
            self.seconds += time.monotonic() - start
        return not self.pruned

    def build_curve(self) -> LossCurve:
        """The losses on both parts by number of trees, thinned to what a picture shows."""
        step = max(1, math.ceil(len(self._train_losses) / _CURVE_POINTS))
        points = slice(step - 1, None, step)
        return LossCurve(
            trees=range(1, len(self._train_losses) + 1)[points],
            train=[round(loss, 6) for loss in self._train_losses[points]],
            validation=[round(loss, 6) for loss in self._validation_losses[points]],
        )
