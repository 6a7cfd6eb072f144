"""The search for CatBoost's parameters within a use case's budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evergreen.training.fit import new_model
from evergreen.training.matrix import Columns, pool, rows_of
from evergreen.training.split import Cut
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One try. `loss` is the validation loss at the best of the trees: log loss in nats, or RMSE."""

    number: int
    params: dict[str, float | int]
    trees: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """What the search found: `params` for `new_model` (with the best number of trees), and every trial."""

    params: dict[str, float | int]
    loss: float
    seconds: float
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Progress = Callable[[Trial, float], None]


def tune(
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    parts: Cut,
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Search depth, l2_leaf_reg and learning_rate for the least validation loss.

    `columns` and `label` are the training part's n rows, without the hold-out; of `parts`, `train` fits a
    trial, `test` judges it and stops its fitting early. The search is a seeded tree-structured Parzen
    estimator (Bergstra et al., 2011, as Optuna has it) that starts from the middle of the space; it ends
    with the budget's trials or seconds, whichever is first, but never before one trial is done. `progress`
    gets each trial and the least loss so far; the same goes to the log.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    budget = use_case.tuning
    train = pool(use_case, rows_of(columns, parts.train), label[parts.train])
    judge = pool(use_case, rows_of(columns, parts.test), label[parts.test])
    began = time.monotonic()
    trials: list[Trial] = []

    def objective(trial: Any) -> float:
        params = {
            "depth": trial.suggest_int("depth", *budget.depth),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", *budget.l2_leaf_reg, log=True),
            "learning_rate": trial.suggest_float("learning_rate", *budget.learning_rate, log=True),
        }
        started = time.monotonic()
        model = new_model(use_case, {**params, "iterations": budget.iterations}, threads)
        model.fit(train, eval_set=judge, early_stopping_rounds=budget.early_stopping_rounds)
        done = Trial(
            number=len(trials) + 1,
            params=params,
            trees=int(model.get_best_iteration()) + 1,
            loss=float(next(iter(model.get_best_score()["validation"].values()))),
            seconds=round(time.monotonic() - started, 2),
        )
        trials.append(done)
        least = min(t.loss for t in trials)
        logger.info(
            "trial %d of %d: loss %.4f with %d trees in %.1f s (least so far %.4f) %s",
            done.number,
            budget.trials,
            done.loss,
            done.trees,
            done.seconds,
            least,
            ", ".join(f"{name} {value:.4g}" for name, value in params.items()),
        )
        if progress is not None:
            progress(done, least)
        return done.loss

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=budget.seed, n_startup_trials=4))
    study.enqueue_trial(
        {
            "depth": sum(budget.depth) // 2,
            "l2_leaf_reg": (budget.l2_leaf_reg[0] * budget.l2_leaf_reg[1]) ** 0.5,
            "learning_rate": (budget.learning_rate[0] * budget.learning_rate[1]) ** 0.5,
        }
    )
    study.optimize(objective, n_trials=1)
    left = budget.seconds - (time.monotonic() - began)
    if budget.trials > 1 and left > 0:
        study.optimize(objective, n_trials=budget.trials - 1, timeout=left)
    best = min(trials, key=lambda t: (t.loss, t.number))
    return Tuned(
        params={**best.params, "iterations": best.trees},
        loss=best.loss,
        seconds=round(time.monotonic() - began, 2),
        trials=tuple(trials),
    )
