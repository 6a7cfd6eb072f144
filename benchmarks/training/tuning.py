"""The declared search beside an exhaustive grid: CPU time until a model is as good on the hold-out.

Both get the same rows, split, validation part, threads and machine, and the same CatBoost with the same fixed
parameters. The grid's score is the best of all of its points BY THE HOLD-OUT, which is generous: whoever
chooses by the validation part, as one must, ends with that score at best. CPU time is this process's with all
of its threads (MariaDB's, which keeps the search, is not); imports count for neither. Models are scored
outside of it: the search tells each trial when it has ended, and what it found is fitted again afterwards by
its recipe, calibration included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from benchmarks.common.timing import say

from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import build_pool, select_rows
from evergreen.model.predict import predict_inputs
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import choose_machine
from evergreen.training.data.rows import TrainingRows
from evergreen.training.data.split import Cut, split_for_validation
from evergreen.training.fit.fitting import build_model, compute_class_weights, fit_catboost, fit_model
from evergreen.training.search import studies
from evergreen.training.search.trial import Trial
from evergreen.training.search.worker import run_trials
from evergreen.usecase import UseCase

DEPTHS, SHARES, PENALTIES = (7, 8, 9), (0.8, 0.9, 1.0), (3.0, 5.0, 7.0)
GRID = tuple(
    {"depth": depth, "rsm": share, "l2_leaf_reg": penalty, "learning_rate": 0.3, "iterations": 2_000}
    for depth, share, penalty in product(DEPTHS, SHARES, PENALTIES)
)
PATIENCE = 50
# A recipe fitted again must give the trial's validation loss, in nats.
_SAME_LOSS = 1e-4


@dataclass(frozen=True)
class Tried:
    """One point or trial: `cpu` seconds (of a point its own, of a trial all since the search began), and its
    model on the hold-out (log loss in nats); NaN for a trial that was given up."""

    params: Mapping[str, float | str]
    trees: int
    cpu: float
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class Tuning:
    """Every point of the grid, and the trials of each search by its seed."""

    grid: list[Tried]
    searches: dict[int, list[Tried]]

    @property
    def grid_cpu(self) -> float:
        return sum(point.cpu for point in self.grid)

    @property
    def target(self) -> float:
        """The least log loss that any point has on the hold-out."""
        return min(point.log_loss for point in self.grid)

    def reached(self, seed: int) -> float:
        """CPU seconds of that search up to the first trial that is as good; infinite if none is."""
        return next((t.cpu for t in self.searches[seed] if t.log_loss <= self.target), math.inf)

    def reached_accuracy(self, seed: int) -> float:
        """The same by the best accuracy that any point has on the hold-out."""
        most = max(point.accuracy for point in self.grid)
        return next((t.cpu for t in self.searches[seed] if t.accuracy >= most), math.inf)


class World:
    """The rows of a training run as its search sees them, with the hold-out that only we look at."""

    def __init__(self, settings: Settings, use_case: UseCase, run: TrainingRun, given: TrainingRows) -> None:
        self.settings, self.use_case, self.run = settings, use_case, run
        cut = given.cuts[0]
        self.columns, self.label = select_rows(given.columns, cut.train), given.label[cut.train]
        self.parts: Cut = split_for_validation(use_case, given.frame[cut.train])
        self.held_out, self.truth = select_rows(given.columns, cut.test), given.label[cut.test]
        self.machine = choose_machine(settings, use_case)

    def judged(self, model: Any) -> tuple[float, float]:
        """Log loss and accuracy on the hold-out."""
        found = compute_metrics(
            self.use_case, self.truth, predict_inputs(self.use_case, model, self.held_out)
        )
        return found["log_loss"], found["accuracy"]


def measure(
    settings: Settings,
    use_case: UseCase,
    run: TrainingRun,
    given: TrainingRows,
    seeds: Sequence[int],
    points: Sequence[dict[str, Any]] = GRID,
) -> Tuning:
    """Grid and searches by turns: a part of the one, then one of the others, until both are done."""
    import catboost  # noqa: F401
    import optuna  # noqa: F401

    world = World(settings, use_case, run, given)
    pools = tuple(
        build_pool(use_case, select_rows(world.columns, rows), world.label[rows])
        for rows in (world.parts.train, world.parts.test)
    )
    grid: list[Tried] = []
    ended: dict[int, list[tuple[Trial, float]]] = {}
    for number, seed in enumerate(seeds):
        grid += [_point(world, params, pools) for params in points[number :: len(seeds)]]
        ended[seed] = _searched(world, seed)
        say(f"  {len(grid)} of {len(points)} points, {number + 1} of {len(seeds)} searches")
    return Tuning(grid, {seed: [_trial(world, seed, *each) for each in ended[seed]] for seed in seeds})


def _point(world: World, params: dict[str, Any], pools: tuple[Any, ...]) -> Tried:
    """Fit one point of the grid. What its pools took to make is not counted."""
    train, judge = pools
    began = time.process_time()
    weights = compute_class_weights(world.use_case, world.label[world.parts.train])
    model = build_model(world.use_case, params, world.machine, weights)
    fit_catboost(model, world.use_case, train, eval_set=judge, early_stopping_rounds=PATIENCE)
    cpu = time.process_time() - began
    return Tried(params, int(model.tree_count_), cpu, *world.judged(model))


def _searched(world: World, seed: int) -> list[tuple[Trial, float]]:
    """The ended trials of the declared search with that seed, each with the CPU seconds until then."""
    use_case = _with_seed(world.use_case, seed)
    mine = replace(world.run, id=f"{world.run.id}-{seed}")
    ended: list[tuple[Trial, float]] = []

    def told(trial: Trial, *_: Any) -> None:
        ended.append((trial, time.process_time() - began))

    began = time.process_time()
    with studies.open_study(world.settings, get_engine(world.settings), use_case, mine) as study:
        run_trials(
            study, use_case, world.columns, world.label, world.parts, machine=world.machine, progress=told
        )
    return ended


def _trial(world: World, seed: int, trial: Trial, cpu: float) -> Tried:
    """Fit a trial's recipe once more and score it. Raises SystemExit if that is not the trial's model."""
    if trial.state != "complete":
        return Tried(trial.params, trial.trees, cpu, math.nan, math.nan)
    use_case = _with_seed(world.use_case, seed)
    train = world.parts.train
    rows, label = select_rows(world.columns, train), world.label[train]
    params = {**trial.params, "iterations": trial.trees}
    plain = fit_model(use_case, rows, label, params, world.machine)
    again = compute_metrics(
        use_case,
        world.label[world.parts.test],
        predict_inputs(use_case, plain, select_rows(world.columns, world.parts.test)),
    )["log_loss"]
    if trial.loss is None or abs(again - trial.loss) > _SAME_LOSS:
        raise SystemExit(f"trial {trial.number} fitted again has the loss {again}, not {trial.loss}")
    model = fit_model(use_case, rows, label, params, world.machine, trial.calibration)
    return Tried(trial.params, trial.trees, cpu, *world.judged(model))


def _with_seed(use_case: UseCase, seed: int) -> UseCase:
    return replace(use_case, tuning=replace(use_case.tuning, seed=seed))
