"""What a training run costs beside its fits: whole ones, each by a process of its own.

On a machine that is busy with other work the fits suffer most, so that the overhead looks smaller than it is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.common.server import environment
from benchmarks.common.timing import say

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run as runs
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.search.search_result import SearchResult

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pipeline:
    """Seconds of one training run: `wall` from the process's start to its end, `fits` by the run's own
    record, `parts` by what the process did. `metrics` are the hold-out models'."""

    training_run: str
    rows: int
    wall: float
    fits: dict[str, float]
    parts: dict[str, float]
    metrics: dict[str, float]
    gain: dict[str, Any]
    params: dict[str, Any]

    @property
    def overhead(self) -> float:
        """The share of the wall time that was not spent fitting."""
        return (self.wall - sum(self.fits.values())) / self.wall


def measure(settings: Settings, use_case_name: str, as_of: datetime, rounds: int) -> list[Pipeline]:
    """Train as of that moment and of the next seconds, which see the same rows; the first without a champion.

    Nothing is left of what an earlier run has read. Raises SystemExit when a process does not end well.
    """
    found = []
    for number in range(rounds):
        shutil.rmtree(settings.cache_folder, ignore_errors=True)
        found.append(_one(settings, use_case_name, as_of + timedelta(seconds=number)))
        say(f"  a whole training run: {found[-1].wall:.1f} s, {found[-1].overhead:.0%} of them without fits")
    return found


def _one(settings: Settings, use_case_name: str, as_of: datetime) -> Pipeline:
    command = [sys.executable, "-m", "benchmarks.training.once", use_case_name, as_of.isoformat()]
    began, clock = time.time(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, check=False)
    wall, ended = time.perf_counter() - clock, time.time()
    if done.returncode != 0:
        raise SystemExit(f"the training run ended with {done.returncode}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    run = trained(settings, told["training_run"])
    assert run.params is not None
    assert run.metrics is not None
    search, evaluation = SearchResult.from_json(run.params), Evaluation.from_json(run.metrics)
    ends = {"interpreter": told["entered"] - began, "process end": ended - told["left"]}
    return Pipeline(
        training_run=run.id,
        rows=run.dataset_rows or 0,
        wall=wall,
        fits={
            "search": sum(trial.seconds for trial in search.trials),
            "evaluation": evaluation.seconds["fitting"],
        },
        parts={**told["parts"], **{name: round(seconds, 3) for name, seconds in ends.items()}},
        metrics=dict(evaluation.candidate),
        gain={name: gain.to_json() if gain else None for name, gain in evaluation.comparison.gains.items()},
        params=dict(search.params),
    )


def trained(settings: Settings, training_run: str) -> TrainingRun:
    return runs.get_training_run(get_engine(settings), training_run)
