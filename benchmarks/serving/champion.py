"""The model that is served: the demo's champion, trained without a stack, and kept until code changes it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import catboost
import numpy as np
from benchmarks.common.timing import say
from benchmarks.training import decisions

from evergreen.model.matrix import build_input_frame
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.registry.connection import set_process_tracking_uri
from evergreen.registry.models import MODEL_URI, register_model_version
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.usecase import UseCase

# Every tour has the same rows and models, whatever its moment.
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
# The code that the model follows from.
_CODE = (
    *("benchmarks/training/decisions.py", "src/evergreen/demo", "src/evergreen/model"),
    *("src/evergreen/store/history", "src/evergreen/training", "src/evergreen/usecase"),
    "src/evergreen/usecases/credit_score",
)
_KEPT = 3
_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Budget:
    """How much a training may cost; the defaults are the demo's own."""

    customers: int | None = None
    trials: int | None = None
    iterations: int | None = None

    def to_options(self) -> dict[str, Any]:
        """All as `train_champion` takes them, without those that are not given."""
        values = {"customers": self.customers, "trials": self.trials, "iterations": self.iterations}
        return {name: value for name, value in values.items() if value is not None}


def load_champion(cache: Path, budget: Budget) -> Any:
    """The champion as a CatBoostClassifier: from the folder `cache`, or trained now (about a minute)."""
    path = cache / f"{_compute_code_digest(budget)}.cb"
    model = catboost.CatBoostClassifier()
    if path.is_file():
        say("the champion of an earlier run, whose code was the same")
        return model.load_model(str(path))
    say("training the demo's champion")
    trained = decisions.train_champion(MOMENT, **budget.to_options())
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{path.name}.{os.getpid()}"
    trained.save_model(str(unfinished))
    unfinished.replace(path)
    _drop_oldest(cache)
    return model.load_model(str(path))


def register_champion(settings: Settings, use_case: UseCase, model: Any, folder: Path) -> int:
    """Log and register the model in the store of the settings, with artifacts below `folder`; its version."""
    import mlflow
    from mlflow.models import infer_signature

    set_process_tracking_uri(settings)
    client = mlflow.MlflowClient(settings.mlflow_tracking_uri)
    known = client.get_experiment_by_name(use_case.name)
    experiment = (
        known.experiment_id
        if known
        else client.create_experiment(use_case.name, artifact_location=(folder / "artifacts").as_uri())
    )
    columns = build_columns_from_rows(use_case, draw_requests(use_case, _EXAMPLE_ROWS, seed=1))
    frame = build_input_frame(use_case, add_on_demand_columns(use_case, columns))
    with mlflow.start_run(experiment_id=experiment) as run:
        info = mlflow.catboost.log_model(
            model,
            name="model",
            signature=infer_signature(frame, np.array(use_case.label.classes)),
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"catboost=={catboost.__version__}"],
        )
        mlflow.set_tag(MODEL_URI, info.model_uri)
    return register_model_version(settings, use_case.name, run.info.run_id, "benchmark", {})


def _compute_code_digest(budget: Budget) -> str:
    digest = hashlib.sha256(f"{catboost.__version__} {budget}".encode())
    for name in _CODE:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def _drop_oldest(cache: Path) -> None:
    files = sorted(cache.glob("*.cb"), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        file.unlink(missing_ok=True)
