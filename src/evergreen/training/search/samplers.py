"""Which point of the search space a trial takes, and which trials are given up before their end."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from itertools import product

import numpy as np
import optuna

from evergreen.training.fit.parameters import Parameters, ParameterValue
from evergreen.usecase import Between, OneOf, UseCase

# Trials at random points before the tree-structured Parzen estimator has enough of them to go by.
_STARTUP_TRIALS = 4


def create_sampler(use_case: UseCase, worker: int, done: int) -> optuna.samplers.BaseSampler:
    """The sampler of a worker's next trial, after `done` trials of its own.

    Its random state follows from the declared seed, the worker and `done`, so that a search that was killed
    and goes on chooses what it would have chosen anyway. The very first trial takes the middle of the space.
    """
    space = use_case.tuning.space
    seed = int(np.random.SeedSequence([use_case.tuning.seed, worker, done]).generate_state(1)[0])
    random_sampler = optuna.samplers.RandomSampler(seed=seed)
    if use_case.tuning.sampler == "grid":
        return _fix_point(list_grid_points(use_case, worker)[done], random_sampler)
    if use_case.tuning.sampler == "random":
        return random_sampler
    tpe = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=_STARTUP_TRIALS, constant_liar=use_case.tuning.workers > 1
    )
    if worker == 0 and done == 0 and space:
        return _fix_point({s.parameter: s.middle for s in space}, tpe)
    return tpe


def create_pruner(use_case: UseCase) -> optuna.pruners.BasePruner:
    """The pruner, which ends a trial early: none, or the median of the other trials' losses."""
    if use_case.tuning.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=20)


def list_grid_points(use_case: UseCase, worker: int) -> list[Parameters]:
    """That worker's points of the grid, in an order that the seed decides.

    Optuna's own grid sampler takes a killed trial's point for tried, and may give one point to two workers.
    """
    budget = use_case.tuning
    names = [s.parameter for s in budget.space]
    points: list[Parameters] = [
        dict(zip(names, values, strict=True)) for values in product(*map(_list_grid_values, budget.space))
    ]
    random.Random(budget.seed).shuffle(points)
    return points[worker :: budget.workers]


def suggest_value(trial: optuna.Trial, dimension: Between | OneOf) -> ParameterValue:
    """The value of one searched parameter that the study's sampler chooses for this trial."""
    if isinstance(dimension, OneOf):
        value: ParameterValue = trial.suggest_categorical(dimension.parameter, dimension.values)
        return value
    name, low, high = dimension.parameter, dimension.low, dimension.high
    if dimension.whole:
        return int(trial.suggest_int(name, int(low), int(high), log=dimension.log))
    return float(trial.suggest_float(name, low, high, log=dimension.log))


def _fix_point(point: Parameters, otherwise: optuna.samplers.BaseSampler) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # "Experimental" since Optuna 2.4.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(point), otherwise)


def _list_grid_values(dimension: Between | OneOf) -> Sequence[ParameterValue]:
    if isinstance(dimension, Between):
        return range(int(dimension.low), int(dimension.high) + 1)
    return dimension.values
