"""The service's processes stay light: what its parent and its worker must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("airflow", "mlflow", "sklearn", "optuna", "matplotlib", "locust")


@pytest.mark.parametrize(
    ("module", "also"),
    [
        # BentoML's parent process and `bentoml build` import this one.
        ("evergreen.serving.service", ("catboost", "pandas", "sqlalchemy", "MySQLdb", "fastapi", "numpy")),
        ("evergreen.serving.runtime", ()),
        # Each worker starts a process of this one.
        (
            "evergreen.serving.predictions.shipper",
            ("catboost", "pandas", "pyarrow", "scipy", "httpx", "bentoml", "fastapi"),
        ),
        # Everything imports this one.
        ("evergreen", ("httpx", "pydantic", "catboost", "pandas", "sqlalchemy", "bentoml", "fastapi")),
        # The load test and people's scripts import these.
        ("evergreen.serving.calls.async_client", ("catboost", "pandas", "sqlalchemy", "bentoml", "fastapi")),
        ("evergreen.serving.calls.client", ("catboost", "pandas", "sqlalchemy", "bentoml", "fastapi")),
        ("evergreen.serving.http.examples", ("catboost", "pandas", "sqlalchemy", "bentoml", "fastapi")),
    ],
)
def test_what_is_not_loaded(module: str, also: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {*HEAVY, *also} == set()
