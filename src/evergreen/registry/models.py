"""Registered models in MLflow: registering a version, loading it, and fetching other files of its run.

Models are files in CatBoost's own format; nothing is unpickled. The service loads its model through this
module, so with a tracking server files are fetched over REST, and MLflow itself is not imported.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import ModelRefused, RegistryError
from evergreen.model.decision import read_class_weights
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.signature import check_signature, read_model_classes
from evergreen.registry.connection import (
    create_mlflow_client,
    parse_response,
    send_get_request,
    set_process_tracking_uri,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.registry.versions import ModelVersion, read_version
from evergreen.settings import Settings
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Tags of an MLflow run, and of the version that is made from it: Evergreen's id of the training run, and
# MLflow's address of the logged model.
TRAINING_RUN = "evergreen.training_run"
MODEL_URI = "evergreen.model_uri"
# The model's file among the artifacts of a version.
MODEL_FILE = "model.cb"


def register_model_version(
    settings: Settings,
    use_case_name: str,
    mlflow_run_id: str,
    training_run_id: str,
    tags: Mapping[str, str],
    description: str = "",
) -> int:
    """Register the run's model as a version; return its number. A second call returns the first one's.

    `description` is what people read beside the version in MLflow. The caller holds `lock_use_case`, so that
    two calls for one run do not register two versions. Raises RegistryError when the run logged no model,
    RegistryUnreachable.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        _ensure_registered_model(client, use_case_name)
        versions = client.search_model_versions(f"name = '{use_case_name}' and run_id = '{mlflow_run_id}'")
        if versions:
            return min(int(version.version) for version in versions)
        source = client.get_run(mlflow_run_id).data.tags.get(MODEL_URI)
        if source is None:
            raise RegistryError(
                f"MLflow run {mlflow_run_id} of {use_case_name} holds no model",
                hint="run the evaluate step of its training again",
            )
        set_process_tracking_uri(settings)  # where a store without a server looks for the logged model
        version = client.create_model_version(
            use_case_name,
            source,
            run_id=mlflow_run_id,
            # A server takes a logged model as the source only beside its id.
            model_id=source.removeprefix("models:/"),
            tags={TRAINING_RUN: training_run_id, **tags},
            description=description,
            await_creation_for=None,  # nothing is copied, so there is nothing to wait for
        )
    return int(version.version)


def load_model(settings: Settings, use_case: UseCase, version: int) -> LoadedModel:
    """Fetch and load one version.

    Raises SignatureMismatch when its inputs or classes are not the declaration's any more, ModelRefused when
    its file is no model, NotRegistered, RegistryUnreachable, RegistryError.
    """
    registered = read_version(settings, use_case.name, version)
    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder:
        path = fetch_model_file(settings, use_case.name, version, Path(folder))
        return read_model_file(use_case, registered, path)


def fetch_model_file(settings: Settings, use_case_name: str, version: int, folder: Path) -> Path:
    """Download the file of a version's model into `folder`; its path.

    Raises NotRegistered, RegistryUnreachable, RegistryError.
    """
    path = folder / MODEL_FILE
    if uses_http(settings):
        query = {"name": use_case_name, "version": str(version), "path": MODEL_FILE}
        _download_file(settings, "/model-versions/get-artifact", query, path)
    else:
        _copy_model_file(settings, f"models:/{use_case_name}/{version}", path)
    return path


def compute_file_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_model_file(use_case: UseCase, registered: ModelVersion, path: Path) -> LoadedModel:
    """Load a file as that version's model. Raises SignatureMismatch, ModelRefused when it is no model."""
    # Not at the top: what only registers, fetches or rolls back would wait for CatBoost and its imports.
    from catboost import CatBoostClassifier, CatBoostError, CatBoostRegressor

    model = CatBoostRegressor() if use_case.problem == "regression" else CatBoostClassifier()
    try:
        model.load_model(str(path))
    except CatBoostError as error:
        raise ModelRefused(
            f"the file of {use_case.name} version {registered.version} is not a CatBoost model: {error}",
            hint="see that version in MLflow; train again or roll back to another version",
        ) from error
    check_signature(use_case, registered.version, model)
    return LoadedModel(
        version=registered.version,
        run_id=registered.run_id,
        model=model,
        feature_names=tuple(model.feature_names_),
        classes=read_model_classes(model),
        weights=read_class_weights(model),
        tags=registered.tags,
        size_bytes=path.stat().st_size,
        digest=compute_file_digest(path),
    )


def load_run_model(settings: Settings, use_case: UseCase, version: int, file: str) -> LoadedModel | None:
    """Load a model that the run of that version keeps as the artifact `file`; None where it has none.

    Raises as `load_model` does.
    """
    registered = read_version(settings, use_case.name, version)
    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder:
        path = fetch_run_file(settings, registered.run_id, file, Path(folder))
        return read_model_file(use_case, registered, path) if path else None


def fetch_run_file(settings: Settings, run_id: str, artifact: str, folder: Path) -> Path | None:
    """Download one artifact of a run into `folder`; None when the run has no such artifact.

    Raises RegistryUnreachable, RegistryError.
    """
    if not run_id:
        return None
    parent = str(Path(artifact).parent)
    if uses_http(settings):
        query = {"run_id": run_id} if parent == "." else {"run_id": run_id, "path": parent}
        listing = parse_response(send_get_request(settings, "/api/2.0/mlflow/artifacts/list", query))
        if artifact not in {item["path"] for item in listing.get("files", [])}:
            return None
        target = folder / Path(artifact).name
        _download_file(settings, "/get-artifact", {"run_uuid": run_id, "path": artifact}, target)
        return target
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        paths = {item.path for item in client.list_artifacts(run_id, None if parent == "." else parent)}
        return Path(client.download_artifacts(run_id, artifact, str(folder))) if artifact in paths else None


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    # Not at the top: the service imports this module and must not import MLflow (seconds, 100 MB).
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _download_file(settings: Settings, route: str, params: Mapping[str, str], path: Path) -> None:
    response = send_get_request(settings, route, params)
    if not response.is_success:
        parse_response(response)
    path.write_bytes(response.content)


def _copy_model_file(settings: Settings, model_uri: str, path: Path) -> None:
    create_mlflow_client(settings)
    # Not at the top: the service imports this module and must not import MLflow (seconds, 100 MB).
    import mlflow

    with translate_mlflow_errors(settings):
        set_process_tracking_uri(settings)
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"{model_uri}/{MODEL_FILE}", dst_path=str(path.parent)
        )
