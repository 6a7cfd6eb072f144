"""One whole training run by a process that does nothing else, and where its time went.

python -m benchmarks.training.once USE_CASE AS_OF     (settings in the environment, as for every command)

Prints {"entered", "left" (seconds of the epoch), "training_run", "parts": {name: seconds}}.
"""

from __future__ import annotations

import time

ENTERED = time.time()

import atexit  # noqa: E402
import builtins  # noqa: E402
import functools  # noqa: E402
import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable  # noqa: E402
from datetime import datetime  # noqa: E402
from typing import Any  # noqa: E402

# Where a part of the work begins: the name of the part, and the function as its callers find it.
SEAMS = (
    ("preparing", "evergreen.loop.train", "prepare_training_set"),
    ("reading", "evergreen.training.data.dataset", "prepare_training_set"),
    ("reading", "evergreen.training.search_step", "prepare_training_set"),
    ("reading", "evergreen.training.search_step", "prepare_rows"),
    ("reading", "evergreen.training.evaluation_step", "prepare_training_set"),
    ("reading", "evergreen.training.evaluation_step", "prepare_rows"),
    ("search", "evergreen.loop.train", "tune_model"),
    ("fits", "evergreen.training.search.objective", "fit_catboost"),
    ("pruning", "optuna", "Trial.report"),
    ("pruning", "optuna", "Trial.should_prune"),
    ("showing trials", "evergreen.training.tracking.trials", "log_trials"),
    ("evaluation", "evergreen.loop.train", "evaluate_candidate"),
    ("fits", "evergreen.training.fit.fit_timer", "FitTimer.fit"),
    ("resampling", "evergreen.training.candidate", "compare_contestants"),
    ("plots and profile", "evergreen.training.evaluation_step", "collect_evidence"),
    ("logging", "evergreen.training.tracking.training_runs", "begin_run"),
    ("logging", "evergreen.training.tracking.training_runs", "log_run"),
    ("registering", "evergreen.loop.train", "apply_gate"),
    ("registering", "evergreen.loop.train", "register_candidate"),
    ("registering", "evergreen.loop.train", "promote_candidate"),
)


class Stopwatch:
    """The main thread's seconds by part, each without those of the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._parts = ["other"]
        self._since = time.perf_counter()
        self._thread = threading.get_ident()

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, whose time counts as that part's."""

        @functools.wraps(work)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._parts[-1] == part or threading.get_ident() != self._thread:
                return work(*args, **kwargs)
            self._tick()
            self._parts.append(part)
            try:
                return work(*args, **kwargs)
            finally:
                self._tick()
                self._parts.pop()

        return watched

    def stop(self) -> dict[str, float]:
        self._tick()
        return {part: round(seconds, 3) for part, seconds in self.seconds.items()}

    def _tick(self) -> None:
        now = time.perf_counter()
        part = self._parts[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def watch(stopwatch: Stopwatch) -> None:
    """Time every import statement and every seam."""
    builtins.__import__ = stopwatch.timed("imports", builtins.__import__)
    importlib.import_module = stopwatch.timed("imports", importlib.import_module)
    for part, module, path in SEAMS:
        *owners, name = path.split(".")
        owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
        setattr(owner, name, stopwatch.timed(part, getattr(owner, name)))


def main() -> int:
    # As the command `evergreen` does.
    atexit.register(gc.freeze)
    stopwatch = Stopwatch()
    watch(stopwatch)
    from evergreen.loop.train import run_train
    from evergreen.settings import load_settings

    done = run_train(load_settings(), sys.argv[1], datetime.fromisoformat(sys.argv[2]))
    told = {"entered": ENTERED, "training_run": done["training_run"], "parts": stopwatch.stop()}
    sys.stdout.write(json.dumps({**told, "left": time.time()}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
