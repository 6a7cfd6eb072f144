"""The search for CatBoost's parameters: one worker's share of the trials, safe to be killed at any moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from evergreen.model.matrix import Columns, build_pool, select_rows
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine, compute_class_weights
from evergreen.training.search.objective import Objective
from evergreen.training.search.samplers import create_sampler, list_grid_points
from evergreen.training.search.studies import quiet_optuna
from evergreen.training.search.trial import Trial, find_least_loss, list_trials
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

# Called after each trial: the trial, the least loss so far, trials done, trials of the budget.
Progress = Callable[[Trial, float, int, int], None]


def count_worker_trials(use_case: UseCase, worker: int) -> int:
    """How many of the budget's trials that worker (from 0) does; of a grid, its points at most."""
    budget = use_case.tuning
    trials = budget.trials // budget.workers + (worker < budget.trials % budget.workers)
    return min(trials, len(list_grid_points(use_case, worker))) if budget.sampler == "grid" else trials


def run_trials(
    study: optuna.Study,
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    cut: Cut,
    *,
    worker: int = 0,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> None:
    """Do that worker's share of the trials, as far as it is not done.

    `columns` and `label` are n training rows, without the hold-out; of `cut`, `train` fits a
    trial, `test` measures its loss and stops its fitting early. The tree-structured Parzen estimator
    (Bergstra et al., 2011, as Optuna has it) starts from the middle of the space. A worker ends with its
    share of the trials or after `seconds` of its own fitting, whichever is first, but never before one trial
    is done.

    A trial that a killed call left unfinished is closed as failed, and its parameters are tried again: the
    random state follows from the seed and the number of trials done, so that one worker alone chooses the
    same parameters, killed or not. `progress` is called after each trial; the log gets the same. Raises
    TrainingError.
    """
    quiet_optuna()
    if is_worker_finished(study, use_case, worker):
        return
    _close_unfinished_trials(study, worker)
    budget = use_case.tuning
    train = build_pool(use_case, select_rows(columns, cut.train), label[cut.train])
    validation = build_pool(use_case, select_rows(columns, cut.test), label[cut.test])
    weights = compute_class_weights(use_case, label[cut.train])
    objective = Objective(use_case, train, validation, label[cut.test], weights, worker, machine or Machine())
    total = sum(count_worker_trials(use_case, each) for each in range(budget.workers))
    while not is_worker_finished(study, use_case, worker):
        study.sampler = create_sampler(use_case, worker, len(_list_own_trials(study, worker)))
        number = _run_trial(study, objective)
        _report_trial(study, number, min(budget.trials, total), progress)


def is_worker_finished(study: optuna.Study, use_case: UseCase, worker: int) -> bool:
    """Whether that worker has done its share of the trials, or spent its seconds on at least one."""
    own_trials = _list_own_trials(study, worker)
    if len(own_trials) >= count_worker_trials(use_case, worker):
        return True
    return bool(own_trials) and sum(trial.seconds for trial in own_trials) >= use_case.tuning.seconds


def _list_own_trials(study: optuna.Study, worker: int) -> list[Trial]:
    return [t for t in list_trials(study) if t.worker == worker and t.state != "failed"]


def _run_trial(study: optuna.Study, objective: Callable[[optuna.Trial], float]) -> int:
    """Run one trial and return its number.

    `study.optimize` is not used: where its storage is away as well, it hides the error that came first.
    """
    trial = study.ask()
    number: int = trial.number
    try:
        loss = objective(trial)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except Exception:
        with suppress(StorageInternalError):
            study.tell(trial, state=TrialState.FAIL)
        raise
    else:
        study.tell(trial, loss)
    return number


def _close_unfinished_trials(study: optuna.Study, worker: int) -> None:
    """Close as failed what a killed call of this worker left running.

    The caller holds the worker's training lock, so that no other process is fitting these trials.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get("worker") == worker:
            study.tell(trial.number, state=TrialState.FAIL)


def _report_trial(study: optuna.Study, number: int, total: int, progress: Progress | None) -> None:
    trials = list_trials(study)
    last = next(trial for trial in trials if trial.number == number)
    done = sum(t.state != "failed" for t in trials)
    least = find_least_loss(trials)
    logger.info(
        "trial %d of %d %s: loss %s with %d trees in %.1f s (least so far %.4f) %s",
        *(done, total, last.state, "-" if last.loss is None else f"{last.loss:.4f}", last.trees),
        *(last.seconds, least),
        ", ".join(f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in last.params.items()),
    )
    if progress is not None:
        progress(last, least, done, total)
