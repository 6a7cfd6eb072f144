"""What the tasks of the DAGs load: each is a process that imports its verb's module anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Seconds of processor time each, and needed by few tasks, which load them when they come to it.
HEAVY = {"mlflow", "sklearn", "scipy.stats", "scipy.optimize", "skrub", "bentoml", "fastapi", "airflow"}


@pytest.mark.parametrize(
    ("modules", "also"),
    [
        (("ingest", "upkeep"), {"catboost", "scipy", "optuna"}),
        # The health of a service, a person's answer, and the end of a training.
        (("deployment.deploy", "deployment.promotion", "approval"), {"optuna"}),
        (("monitor", "score"), {"optuna"}),
    ],
)
def test_what_is_not_loaded(modules: tuple[str, ...], also: set[str]) -> None:
    names = ", ".join(f"evergreen.loop.{module}" for module in modules)
    code = f"import sys, {names}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & (HEAVY | also) == set()
