"""One MLflow run per training run: parameters, metrics, data set, plots, models and what they were made from.

A run's start is marked by its tag, its end by MLflow's status FINISHED, so a training that was killed and
is run again removes its unfinished run and continues a finished one, if that had the same data: there are
never two.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evergreen.errors import RegistryError
from evergreen.registry.connection import answering, make_process_default, mlflow_client, over_http
from evergreen.registry.models import HOLDOUT_MODEL_FILE, MODEL_URI, TRAINING_RUN, fetch_run_file
from evergreen.settings import Settings
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATASET_DIGEST = "evergreen.dataset_digest"
DATASET_READ_AT = "evergreen.dataset_read_at"
EVALUATION_FILE = "evaluation.json"
PROFILE_FILE = "reference_profile.json"

_DIGEST_LENGTH = 36  # MLflow's limit; the tag has the whole digest
_EXAMPLE_ROWS = 3


@dataclass(frozen=True)
class Evidence:
    """What a run keeps. `frame` holds the model's inputs and the label of all rows."""

    training_run: str
    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    frame: pd.DataFrame
    dataset_digest: str
    dataset_query: Mapping[str, Any]
    model: Any
    holdout_model: Any
    figures: Mapping[str, Figure]
    documents: Mapping[str, Any]


def find_run(settings: Settings, use_case: str, training_run: str, digest: str) -> str | None:
    """The finished MLflow run of that training run on the data set of that digest, or None."""
    client = mlflow_client(settings)
    with answering(settings):
        for run in _runs(client, _experiment(settings, client, use_case), training_run):
            if run.info.status == "FINISHED" and run.data.tags.get(DATASET_DIGEST) == digest:
                return str(run.info.run_id)
    return None


def run_tags(settings: Settings, run_id: str) -> dict[str, str]:
    """Evergreen's own tags of an MLflow run."""
    client = mlflow_client(settings)
    with answering(settings):
        tags = client.get_run(run_id).data.tags
    return {name: value for name, value in tags.items() if name.startswith("evergreen.")}


def read_document(settings: Settings, run_id: str, name: str) -> Any:
    """One of a run's JSON documents. Raises RegistryError when it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="evergreen-run-") as folder:
        path = fetch_run_file(settings, run_id, name, Path(folder))
        if path is None:
            raise RegistryError(
                f"MLflow run {run_id} has no file {name}",
                hint="delete that run in MLflow and train again as of a later moment",
            )
        return json.loads(path.read_text(encoding="utf-8"))


def log_run(settings: Settings, use_case: UseCase, evidence: Evidence) -> str:
    """Log everything as one MLflow run in the use case's experiment, and return the run's id.

    Former runs of the same training run, which a killed task left unfinished or which had other data, are
    removed first. Raises RegistryUnreachable.
    """
    client = mlflow_client(settings)
    import mlflow

    with answering(settings):
        experiment = _experiment(settings, client, use_case.name)
        for former in _runs(client, experiment, evidence.training_run):
            client.delete_run(former.info.run_id)
        make_process_default(settings)
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=evidence.name,
            tags={TRAINING_RUN: evidence.training_run, **evidence.tags},
        ) as run:
            mlflow.log_params(dict(evidence.params))
            mlflow.log_metrics(dict(evidence.metrics))
            mlflow.log_input(_dataset(use_case, evidence), context="training")
            for file, figure in evidence.figures.items():
                mlflow.log_figure(figure, file)
            for file, document in evidence.documents.items():
                mlflow.log_dict(document, file)
            _log_holdout_model(evidence.holdout_model)
            mlflow.set_tag(MODEL_URI, _log_model(use_case, evidence))
        return str(run.info.run_id)


def _experiment(settings: Settings, client: Any, name: str) -> str:
    """The id of the use case's experiment, made or brought back if need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        # A server decides itself where artifacts go; without one they must not land in the current folder.
        location = None if over_http(settings) else _artifact_folder(settings, name)
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _artifact_folder(settings: Settings, name: str) -> str:
    folder = settings.home.resolve() / "mlflow-artifacts" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder.as_uri()


def _runs(client: Any, experiment: str, training_run: str) -> list[Any]:
    return list(
        client.search_runs([experiment], f"tags.`{TRAINING_RUN}` = '{training_run}'", max_results=100)
    )


def _dataset(use_case: UseCase, evidence: Evidence) -> Any:
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource

    return mlflow.data.from_pandas(
        evidence.frame,
        # With the run's id, `evergreen dataset reproduce` reads the same rows again.
        source=CodeDatasetSource(
            {
                "evergreen.store": f"training set of {use_case.name}",
                "evergreen.query": json.dumps(evidence.dataset_query),
                **evidence.tags,
            }
        ),
        targets=use_case.label.name,
        name=use_case.name,
        digest=evidence.dataset_digest[:_DIGEST_LENGTH],
    )


def _log_holdout_model(model: Any) -> None:
    import mlflow

    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder:
        path = Path(folder) / Path(HOLDOUT_MODEL_FILE).name
        model.save_model(str(path))
        mlflow.log_artifact(str(path), str(Path(HOLDOUT_MODEL_FILE).parent))


def _log_model(use_case: UseCase, evidence: Evidence) -> str:
    """Log the registered model with signature and input example; returns its URI."""
    import catboost
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = evidence.frame.drop(columns=use_case.label.name)
    columns = [
        ColSpec("double" if inputs[name].dtype == np.float64 else "string", name) for name in inputs.columns
    ]
    answer = ColSpec("string" if use_case.label.classes else "double", "prediction")
    made = mlflow.catboost.log_model(
        cb_model=evidence.model,
        name="model",
        signature=ModelSignature(Schema(columns), Schema([answer])),
        input_example=inputs.head(_EXAMPLE_ROWS),
        # Named, so that MLflow does not spend ten seconds finding them by loading the model elsewhere.
        pip_requirements=[
            f"mlflow=={mlflow.__version__}",
            f"catboost=={catboost.__version__}",
            f"numpy=={np.__version__}",
        ],
    )
    return str(made.model_uri)
