"""The search for CatBoost's parameters: one worker's share of the trials, safe to be killed at any moment."""

from __future__ import annotations

import logging
import math
import random
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.model.calibration import Calibration, fit_calibration
from evergreen.model.matrix import Columns, build_pool, select_rows
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine, build_model, compute_class_weights, fit_catboost
from evergreen.training.search.search_result import Trial, find_least_loss, list_trials
from evergreen.training.search.studies import quiet_optuna
from evergreen.usecase import Between, UseCase

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

# So often at most in its course a trial tells its validation loss, and hears whether it is worth going on.
REPORTS = 12
_LEAST_TREES_BETWEEN = 10
_STARTUP_TRIALS = 4
_CURVE_POINTS = 200

# Told after each trial: the trial, the least loss so far, trials done, trials of the budget.
Progress = Callable[[Trial, float, int, int], None]


def count_worker_trials(use_case: UseCase, worker: int) -> int:
    """How many of the budget's trials that worker (from 0) does; of a grid, its points at most."""
    budget = use_case.tuning
    trials = budget.trials // budget.workers + (worker < budget.trials % budget.workers)
    return min(trials, len(_list_grid_points(use_case, worker))) if budget.sampler == "grid" else trials


def run_trials(
    study: optuna.Study,
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    parts: Cut,
    *,
    worker: int = 0,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> None:
    """Do that worker's share of the trials, as far as it is not done.

    `columns` and `label` are the training part's n rows, without the hold-out; of `parts`, `train` fits a
    trial, `test` judges it and stops its fitting early. The tree-structured Parzen estimator (Bergstra et
    al., 2011, as Optuna has it) starts from the middle of the space. A worker ends with its share of the
    trials or after `seconds` of its own fitting, whichever is first, but never before one trial is done.

    What a killed call left unfinished is given up, and its parameters are tried again: the random state
    follows from the seed and the number of trials done, so that one worker alone finds the same, killed or
    not. `progress` hears of each trial; the same goes to the log. Raises TrainingError.
    """
    quiet_optuna()
    if is_worker_finished(study, use_case, worker):
        return
    _give_up_unfinished(study, worker)
    budget = use_case.tuning
    train = build_pool(use_case, select_rows(columns, parts.train), label[parts.train])
    judge = build_pool(use_case, select_rows(columns, parts.test), label[parts.test])
    weights = compute_class_weights(use_case, label[parts.train])
    objective = _Objective(use_case, train, judge, label[parts.test], weights, worker, machine or Machine())
    total = sum(count_worker_trials(use_case, each) for each in range(budget.workers))
    while True:
        if is_worker_finished(study, use_case, worker):
            return
        study.sampler = create_sampler(use_case, worker, len(_list_own_trials(study, worker)))
        number = _run_trial(study, objective)
        _report_trial(study, number, min(budget.trials, total), progress)


def is_worker_finished(study: optuna.Study, use_case: UseCase, worker: int) -> bool:
    """Whether that worker has done its share of the trials, or spent its seconds on at least one."""
    mine = _list_own_trials(study, worker)
    if len(mine) >= count_worker_trials(use_case, worker):
        return True
    return bool(mine) and sum(trial.seconds for trial in mine) >= use_case.tuning.seconds


def _list_own_trials(study: optuna.Study, worker: int) -> list[Trial]:
    return [t for t in list_trials(study) if t.worker == worker and t.state != "failed"]


def _run_trial(study: optuna.Study, objective: Callable[[optuna.Trial], float]) -> int:
    """One trial; its number. Optuna's own loop hides what went wrong where its storage is away as well."""
    from optuna.exceptions import StorageInternalError, TrialPruned
    from optuna.trial import TrialState

    trial = study.ask()
    number: int = trial.number
    try:
        loss = objective(trial)
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except Exception:
        with suppress(StorageInternalError):
            study.tell(trial, state=TrialState.FAIL)
        raise
    else:
        study.tell(trial, loss)
    return number


def create_sampler(use_case: UseCase, worker: int, done: int) -> optuna.samplers.BaseSampler:
    """The sampler of a worker's next trial, after `done` of its own."""
    import optuna

    space = use_case.tuning.space
    seed = int(np.random.SeedSequence([use_case.tuning.seed, worker, done]).generate_state(1)[0])
    anywhere = optuna.samplers.RandomSampler(seed=seed)
    if use_case.tuning.sampler == "grid":
        return _fix_point(_list_grid_points(use_case, worker)[done], anywhere)
    if use_case.tuning.sampler == "random":
        return anywhere
    tpe = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=_STARTUP_TRIALS, constant_liar=use_case.tuning.workers > 1
    )
    if worker == 0 and done == 0 and space:
        return _fix_point({s.parameter: s.middle for s in space}, tpe)
    return tpe


def _fix_point(point: dict[str, Any], otherwise: optuna.samplers.BaseSampler) -> optuna.samplers.BaseSampler:
    import optuna

    with warnings.catch_warnings():
        # "Experimental" since Optuna 2.4.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(point, otherwise)


def _list_grid_points(use_case: UseCase, worker: int) -> list[dict[str, Any]]:
    """That worker's points of the grid, in an order that the seed decides.

    Optuna's own grid sampler takes a killed trial's point for tried, and may give one point to two workers.
    """
    budget = use_case.tuning
    names = [s.parameter for s in budget.space]
    points = [dict(zip(names, p, strict=True)) for p in product(*map(_grid_values, budget.space))]
    random.Random(budget.seed).shuffle(points)
    return points[worker :: budget.workers]


class _Objective:
    """One trial: fit, watch, judge, calibrate; everything worth keeping goes to the trial's attributes."""

    def __init__(
        self,
        use_case: UseCase,
        train: Any,
        judge: Any,
        truth: np.ndarray,
        weights: tuple[float, ...],
        worker: int,
        machine: Machine,
    ) -> None:
        self._use_case = use_case
        self._train, self._judge, self._truth = train, judge, truth
        self._weights = weights
        self._worker = worker
        self._machine = machine

    def __call__(self, trial: optuna.Trial) -> float:
        import optuna

        trial.set_user_attr("worker", self._worker)
        trial.set_user_attr("started", time.time())
        budget = self._use_case.tuning
        params = {s.parameter: _suggest(trial, s) for s in budget.space}
        watch = _PruningCallback(trial, max(_LEAST_TREES_BETWEEN, budget.iterations // REPORTS))
        model = build_model(
            self._use_case, {**params, "iterations": budget.iterations}, self._machine, self._weights
        )
        # CatBoost takes no callbacks on a GPU: there a trial runs to its end.
        watching = {"callbacks": [watch]} if self._machine.task_type == "CPU" else {}
        began = time.monotonic()
        fit_catboost(
            model,
            self._use_case,
            self._train,
            eval_set=self._judge,
            early_stopping_rounds=budget.early_stopping_rounds,
            **watching,
        )
        if watch.error is not None:
            raise watch.error
        trial.set_user_attr("seconds", round(time.monotonic() - began - watch.seconds, 3))
        trial.set_user_attr("curve", watch.curve())
        if watch.pruned:
            trial.set_user_attr("trees", watch.trees)
            raise optuna.TrialPruned
        loss = float(next(iter(model.get_best_score()["validation"].values())))
        trial.set_user_attr("trees", int(model.get_best_iteration()) + 1)
        trial.set_user_attr("calibration", self._calibration(model).to_json())
        return loss

    def _calibration(self, model: Any) -> Calibration:
        """How this trial's raw scores become honest probabilities, by rows that it was not fitted on."""
        classes = self._use_case.label.classes
        if not classes:
            return Calibration(1.0, (0.0,))
        raw = np.asarray(model.predict(self._judge, prediction_type="RawFormulaVal"), dtype=np.float64)
        number = {name: index for index, name in enumerate(classes)}
        truth = np.array([number[name] for name in self._truth], dtype=np.int64)
        return fit_calibration(raw, truth, len(classes), self._weights)


class _PruningCallback:
    """CatBoost's callback: keeps the loss by trees, and ends a trial that Optuna's pruner gives up.

    `error` is what went wrong in it: out of CatBoost, it would come as a refusal of CatBoost's own. `seconds`
    went into asking the pruner.
    """

    def __init__(self, trial: optuna.Trial, every: int) -> None:
        self._trial = trial
        self._every = every
        self.trees = 0
        self.pruned = False
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._train: list[float] = []
        self._validation: list[float] = []

    def after_iteration(self, info: Any) -> bool:
        """Called by CatBoost after each tree; False ends the fit."""
        self.trees = int(info.iteration)
        for part, losses in (("learn", self._train), ("validation", self._validation)):
            losses.append(float(next(iter(info.metrics[part].values()))[-1]))
        if self.trees % self._every == 0 and math.isfinite(self._validation[-1]):
            began = time.monotonic()
            try:
                self._trial.report(self._validation[-1], self.trees)
                self.pruned = self._trial.should_prune()
            except BaseException as error:  # noqa: BLE001  raised again by the objective
                self.error = error
                return False
            self.seconds += time.monotonic() - began
        return not self.pruned

    def curve(self) -> dict[str, list[Any]]:
        """Loss on both parts by number of trees, thinned to what a picture shows."""
        step = max(1, math.ceil(len(self._train) / _CURVE_POINTS))
        chosen = slice(step - 1, None, step)
        return {
            "trees": list(range(1, len(self._train) + 1))[chosen],
            "train": [round(loss, 6) for loss in self._train[chosen]],
            "validation": [round(loss, 6) for loss in self._validation[chosen]],
        }


def _suggest(trial: optuna.Trial, searched: Any) -> Any:
    if not isinstance(searched, Between):
        return trial.suggest_categorical(searched.parameter, searched.values)
    if searched.whole:
        return trial.suggest_int(searched.parameter, int(searched.low), int(searched.high), log=searched.log)
    return trial.suggest_float(searched.parameter, searched.low, searched.high, log=searched.log)


def _grid_values(searched: Any) -> list[Any]:
    if isinstance(searched, Between):
        return list(range(int(searched.low), int(searched.high) + 1))
    return list(searched.values)


def _give_up_unfinished(study: optuna.Study, worker: int) -> None:
    """Close what a killed call of this worker left running. Nobody else is this worker now."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get("worker") == worker:
            study.tell(trial.number, state=TrialState.FAIL)


def _report_trial(study: optuna.Study, number: int, of: int, progress: Progress | None) -> None:
    known = list_trials(study)
    last = next(trial for trial in known if trial.number == number)
    done = sum(t.state != "failed" for t in known)
    least = find_least_loss(known)
    logger.info(
        "trial %d of %d %s: loss %s with %d trees in %.1f s (least so far %.4f) %s",
        *(done, of, last.state, "-" if last.loss is None else f"{last.loss:.4f}", last.trees, last.seconds),
        least,
        ", ".join(f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in last.params.items()),
    )
    if progress is not None:
        progress(last, least, done, of)
