"""The record of a version in MariaDB, written when it is registered: what a service verifies it by."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from evergreen.errors import ModelRefused
from evergreen.model.signature import compute_signature_digest
from evergreen.registry.models import compute_file_digest, fetch_model_file, read_model_file
from evergreen.registry.verification import verify_model
from evergreen.registry.versions import read_version
from evergreen.settings import Settings
from evergreen.store.records.model_record import GoldenRows, ModelRecord
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.tracking.training_runs import GOLDEN_FILE, find_document
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest


def build_model_record(settings: Settings, use_case: UseCase, run: TrainingRun, version: int) -> ModelRecord:
    """Describe a training run's version as MLflow holds it; nothing is written.

    The file must be the one that was evaluated, because whatever is on record is served later. Raises
    ModelRefused when it is another one or answers otherwise, RegistryUnreachable, RegistryError.
    """
    assert run.metrics is not None
    assert run.mlflow_run_id is not None
    evaluated_digest = Evaluation.from_json(run.metrics).model_digest
    registered = read_version(settings, use_case.name, version)
    with tempfile.TemporaryDirectory(prefix="evergreen-record-") as folder:
        path = fetch_model_file(settings, use_case.name, version, Path(folder))
        digest = compute_file_digest(path)
        # Trainings that an earlier version evaluated have no digest.
        if evaluated_digest and digest != evaluated_digest:
            raise ModelRefused(
                f"the file of {use_case.name} version {version} in MLflow is not the model that was"
                f" evaluated: its SHA-256 is {shorten_digest(digest)}… and not"
                f" {shorten_digest(evaluated_digest)}…",
                hint="see who may write to MLflow's artifacts, and train again as of a later moment",
            )
        loaded = read_model_file(use_case, registered, path)
        record = ModelRecord(
            use_case=use_case.name,
            version=version,
            run_id=registered.run_id,
            digest=digest,
            size_bytes=loaded.size_bytes,
            signature_digest=compute_signature_digest(loaded.model),
            golden_rows=_find_golden_rows(settings, run.mlflow_run_id),
            recorded_at=datetime.now(UTC),
        )
    verify_model(use_case, record, loaded)
    return record


def _find_golden_rows(settings: Settings, mlflow_run: str) -> GoldenRows | None:
    """Those of the evaluation; None where an earlier version evaluated the model."""
    document = find_document(settings, mlflow_run, GOLDEN_FILE)
    return None if document is None else GoldenRows.from_json(document)
