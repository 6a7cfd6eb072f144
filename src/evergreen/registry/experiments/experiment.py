"""Finds or creates an experiment of MLflow, and tells the addresses of its runs."""

from __future__ import annotations

from typing import Any

from evergreen.private import make_private_folder
from evergreen.registry.connection import format_public_address, uses_http
from evergreen.settings import Settings

# Without this tag MLflow's page takes an experiment for one of generative AI, and shows neither charts nor
# runs first.
_KIND, _KIND_OF_MODELS = "mlflow.experimentKind", "custom_model_development"


def ensure_experiment(settings: Settings, client: Any, name: str) -> str:
    """The id of the experiment of that name, which is created, or restored if it was deleted.

    `client` is an `mlflow.MlflowClient`. Errors are MLflow's: call it inside `translate_mlflow_errors`.
    """
    # MLflow takes seconds to load: see `registry.connection`.
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # A server has its own place for artifacts; without one MLflow would use the current folder.
        location = None if uses_http(settings) else _make_artifact_folder(settings, name)
        try:
            return str(
                client.create_experiment(name, artifact_location=location, tags={_KIND: _KIND_OF_MODELS})
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    if _KIND not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, _KIND, _KIND_OF_MODELS)
    return str(experiment.experiment_id)


def format_run_address(settings: Settings, experiment_id: str, run_id: str, file: str = "") -> str:
    """The address of a run, or of one of its files, in MLflow's UI; empty without a server. MLflow is not
    asked."""
    if not uses_http(settings):
        return ""
    base = settings.mlflow_url.rstrip("/") or format_public_address(settings)
    page = f"{base}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"{page}/artifacts/{file}" if file else page


def _make_artifact_folder(settings: Settings, name: str) -> str:
    folder = settings.home.resolve() / "mlflow-artifacts" / name
    make_private_folder(folder)
    return folder.as_uri()
