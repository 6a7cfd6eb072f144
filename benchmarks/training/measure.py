"""The whole run, stage by stage, on one pair of servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common.mlflow_server import starting
from benchmarks.common.server import running
from benchmarks.common.timing import say
from benchmarks.training import bank, demo, pipeline, titanic, tuning
from benchmarks.training.demo import Amount, Demo
from benchmarks.training.pipeline import Pipeline
from benchmarks.training.titanic import Titanic
from benchmarks.training.tuning import Tuning

from evergreen.settings import load_settings
from evergreen.stack.deploy.facts import BANK_DATABASE
from evergreen.store.connection.database import get_engine
from evergreen.training.data.dataset import prepare_training_set
from evergreen.training.data.rows import prepare_rows as rows_of_run
from evergreen.usecases import load_use_case
from evergreen.usecases.credit_score.simulator import compute_best_accuracy


@dataclass(frozen=True)
class Size:
    """How much is done: labelled rows, whole trainings, searches and the grid's points beside them,
    repetitions of titanic's folds, with fixed parameters and `nested`, and tours of the demo."""

    rows: int
    trainings: int = 3
    searches: int = 3
    repeats: int = 5
    nested: int = 5
    points: int = len(tuning.GRID)
    tours: Amount = field(default_factory=Amount)


@dataclass(frozen=True)
class Measured:
    """What was found; `no_titanic` says why there is no `titanic`, `best_reachable` is an accuracy."""

    size: Size
    titanic: Titanic | None
    no_titanic: str
    pipelines: list[Pipeline]
    best_reachable: float
    tuning: Tuning
    demo: Demo


def measure(folder: Path, size: Size, csv: Path | None) -> Measured:
    """Everything. Raises SystemExit when a part cannot be measured, but for a file that is not there."""
    with (
        starting(folder / "mlflow") as tracking,
        running(folder, foreign=(BANK_DATABASE,)) as bench,
        bench.store(bank.USE_CASE, "training", tracking.url) as settings,
    ):
        bank.fill(settings, size.rows)
        survivors, why_not = _titanic(size, csv)
        tracking.ready()
        say("whole training runs, each in a process of its own")
        trained = pipeline.measure(settings, bank.USE_CASE, bank.AS_OF, size.trainings)
        points = tuning.GRID[:: len(tuning.GRID) // size.points]
        say(f"the declared search beside a grid of {len(points)} points")
        use_case, database = load_use_case(bank.USE_CASE, settings), get_engine(settings)
        run, found = prepare_training_set(
            settings, database, use_case, pipeline.trained(settings, trained[0].training_run)
        )
        seeds = [use_case.tuning.seed + number for number in range(size.searches)]
        tuned = tuning.measure(settings, use_case, run, rows_of_run(use_case, found), seeds, points)
    best = compute_best_accuracy(bank.SCENARIO)
    return Measured(size, survivors, why_not, trained, best, tuned, demo.measure(size.tours))


def _titanic(size: Size, csv: Path | None) -> tuple[Titanic | None, str]:
    settings = load_settings()
    use_case = load_use_case("titanic", settings)
    file = titanic.file_of(use_case, settings, csv)
    if not file.is_file():
        return None, f"there is no file {file}: name Kaggle's train.csv with --csv"
    return titanic.measure(use_case, file, size.repeats, size.nested), ""
