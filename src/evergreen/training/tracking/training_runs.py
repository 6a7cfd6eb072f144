"""One MLflow run per training run, with parameters, metrics, data set, pictures and models; trials nested.

The run is created before the search and ended when everything is in it, so that MLflow's status FINISHED
means complete. A training that was killed and is run again goes on with the same run if the data are the
same; if not, the former run and its trials are deleted. There are never two.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evergreen.documents import JsonObject
from evergreen.errors import RegistryError
from evergreen.registry.connection import (
    create_mlflow_client,
    set_process_tracking_uri,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.registry.experiments.experiment import ensure_experiment, format_run_address
from evergreen.registry.models import MODEL_URI, TRAINING_RUN, fetch_run_file
from evergreen.settings import Settings
from evergreen.training.fit.parameters import Parameters
from evergreen.training.tracking import trials
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from collections.abc import Sequence

DATASET_DIGEST = "evergreen.dataset_digest"
DATASET_READ_AT = "evergreen.dataset_read_at"
EVALUATION_FILE = "evaluation.json"
TUNING_FILE = "search/trials.json"
PROFILE_FILE = "reference_profile.json"
ERRORS_FILE = "error_profile.json"
GOLDEN_FILE = "golden_rows.json"
CARD_FILE = "model_card.html"

_DIGEST_LENGTH = 36  # MLflow's limit; the tag has the whole digest
_EXAMPLE_ROWS = 3


@dataclass(frozen=True)
class Evidence:
    """What an MLflow run keeps of a training.

    `frame`: the model's inputs and the label of all rows. `dataset_query`: JSON. `pictures` and `documents`:
    by file name. `about_model`: the metadata in the logged model's own description.
    """

    params: Parameters
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    frame: pd.DataFrame
    dataset_digest: str
    dataset_query: str
    model: Any
    holdout_models: Sequence[Any]
    pictures: Mapping[str, bytes]
    documents: Mapping[str, JsonObject]
    about_model: JsonObject = field(default_factory=dict)


def find_run(settings: Settings, use_case_name: str, training_run: str, digest: str) -> str | None:
    """The finished MLflow run of that training run on the data set of that digest, or None."""
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        for run in _search_runs(client, ensure_experiment(settings, client, use_case_name), training_run):
            if run.info.status == "FINISHED" and run.data.tags.get(DATASET_DIGEST) == digest:
                return str(run.info.run_id)
    return None


def begin_run(settings: Settings, use_case_name: str, training_run: str, digest: str, name: str) -> str:
    """The id of the MLflow run of that training run on the data set of that digest, created if there is none.

    Runs of other data are deleted, with their trials. Callers hold the use case's "tracking" lock.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        experiment = ensure_experiment(settings, client, use_case_name)
        run_id = None
        for former in _search_runs(client, experiment, training_run):
            if run_id is None and former.data.tags.get(DATASET_DIGEST) == digest:
                run_id = str(former.info.run_id)
                continue
            for child in trials.list_trial_runs(client, experiment, former.info.run_id):
                client.delete_run(child.info.run_id)
            client.delete_run(former.info.run_id)
        if run_id is None:
            tags = {TRAINING_RUN: training_run, DATASET_DIGEST: digest}
            run_id = str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
    return run_id


def read_run_tags(settings: Settings, run_id: str) -> dict[str, str]:
    """Evergreen's own tags of an MLflow run."""
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        tags = client.get_run(run_id).data.tags
    return {name: value for name, value in tags.items() if name.startswith("evergreen.")}


def build_run_url(settings: Settings, run_id: str, file: str = "") -> str:
    """The address of a run, or of one of its files, in MLflow's UI; empty without a server."""
    if not uses_http(settings):
        return ""
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        experiment = client.get_run(run_id).info.experiment_id
    return format_run_address(settings, experiment, run_id, file)


def read_document(settings: Settings, run_id: str, name: str) -> Any:
    """One of a run's JSON documents, parsed. Raises RegistryError when the run does not have it."""
    document = find_document(settings, run_id, name)
    if document is None:
        raise RegistryError(
            f"MLflow run {run_id} has no file {name}",
            hint="delete that run in MLflow and train again as of a later moment",
        )
    return document


def find_document(settings: Settings, run_id: str, name: str) -> Any:
    """`read_document`, but None for a document that the run does not have."""
    with tempfile.TemporaryDirectory(prefix="evergreen-run-") as folder:
        path = fetch_run_file(settings, run_id, name, Path(folder))
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))


def write_page(settings: Settings, run_id: str, file: str, html: str) -> None:
    """Log an HTML page to a run; it replaces any former file of that name."""
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        client.log_text(run_id, html, file)


def log_run(settings: Settings, use_case: UseCase, run_id: str, evidence: Evidence) -> None:
    """Log everything to the run and end it. A second call replaces what the first one left.

    Raises RegistryUnreachable, RegistryError.
    """
    # MLflow takes seconds to load: `library_loading` does it in a thread while the search fits.
    import mlflow

    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        set_process_tracking_uri(settings)
        _delete_logged_models(client, run_id)
        with mlflow.start_run(run_id=run_id):
            mlflow.set_tags(dict(evidence.tags))
            mlflow.log_params(dict(evidence.params))
            mlflow.log_metrics(dict(evidence.metrics))
            mlflow.log_input(_build_dataset(use_case, evidence), context="training")
            _log_files(evidence)
            mlflow.set_tag(MODEL_URI, _log_model(use_case, evidence))


def _search_runs(client: Any, experiment: str, training_run: str) -> list[Any]:
    return list(
        client.search_runs([experiment], f"tags.`{TRAINING_RUN}` = '{training_run}'", max_results=100)
    )


def _build_dataset(use_case: UseCase, evidence: Evidence) -> Any:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    # With the run's id, `evergreen dataset reproduce` reads the same rows again. The data set is described
    # instead of passed as a frame, because MLflow would scan all rows for what the declaration says already.
    return MetaDataset(
        source=CodeDatasetSource(
            {
                "evergreen.store": f"training set of {use_case.name}",
                "evergreen.query": evidence.dataset_query,
                **evidence.tags,
            }
        ),
        name=use_case.name,
        digest=evidence.dataset_digest[:_DIGEST_LENGTH],
        schema=_build_schema(evidence.frame),
    )


def _build_schema(frame: pd.DataFrame) -> Any:
    """MLflow's schema of a frame of float64 numbers and texts."""
    import numpy as np
    from mlflow.types import ColSpec, Schema

    return Schema(
        [ColSpec("double" if frame[n].dtype == np.float64 else "string", str(n)) for n in frame.columns]
    )


def _log_files(evidence: Evidence) -> None:
    """Log pictures, documents and hold-out models as one folder, as a call per file would cost seconds."""
    import mlflow

    with tempfile.TemporaryDirectory(prefix="evergreen-run-") as folder:
        for file, picture in evidence.pictures.items():
            _prepare_path(folder, file).write_bytes(picture)
        for file, document in evidence.documents.items():
            _prepare_path(folder, file).write_text(json.dumps(document, indent=1), encoding="utf-8")
        for number, model in enumerate(evidence.holdout_models):
            model.save_model(str(_prepare_path(folder, build_holdout_path(number))))
        mlflow.log_artifacts(folder)


def build_holdout_path(number: int) -> str:
    """The path in the run of the model fitted without the hold-out, or without fold `number`."""
    return f"holdout_model/fold_{number}.cb"


def _prepare_path(folder: str, file: str) -> Path:
    path = Path(folder) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _delete_logged_models(client: Any, run_id: str) -> None:
    """Delete the models that a killed call logged for the run, which is to have one."""
    run = client.get_run(run_id)
    for model in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)


def _log_model(use_case: UseCase, evidence: Evidence) -> str:
    """Log the registered model with signature and input example; returns its URI."""
    import catboost
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = evidence.frame.drop(columns=use_case.label.name)
    answer = ColSpec("string" if use_case.label.classes else "double", "prediction")
    logged_model = mlflow.catboost.log_model(
        cb_model=evidence.model,
        name="model",
        signature=ModelSignature(_build_schema(inputs), Schema([answer])),
        input_example=inputs.head(_EXAMPLE_ROWS),
        metadata=dict(evidence.about_model),
        # Named, so that MLflow does not spend ten seconds finding them by loading the model elsewhere.
        pip_requirements=[
            f"mlflow=={mlflow.__version__}",
            f"catboost=={catboost.__version__}",
            f"numpy=={np.__version__}",
        ],
    )
    return str(logged_model.model_uri)
