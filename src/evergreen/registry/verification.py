"""Is a version's model still the one that was registered? Its file, its signature, its golden rows."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from evergreen.errors import ModelRefused, StoreError
from evergreen.model.golden_rows import find_golden_difference
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.signature import compute_signature_digest
from evergreen.registry.models import compute_file_digest, fetch_model_file, read_model_file
from evergreen.registry.versions import read_version
from evergreen.settings import Settings
from evergreen.store.records.model_record import ModelRecord, find_model_record
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest

logger = logging.getLogger(__name__)


def load_recorded_model(
    settings: Settings, database: sa.Engine, use_case: UseCase, version: int
) -> LoadedModel:
    """Fetch, verify and load one version; one that is not on record is loaded with a warning, which is
    logged.

    Raises as `load_model` does, also ModelRefused for another file than the one on record, and
    StoreUnreachable.
    """
    registered = read_version(settings, use_case.name, version)
    record = find_model_record(database, use_case.name, version, registered.run_id)
    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder:
        path = fetch_model_file(settings, use_case.name, version, Path(folder))
        if record is not None:
            # Before the file is read as a model.
            verify_file_digest(record, compute_file_digest(path), path.stat().st_size)
        loaded = read_model_file(use_case, registered, path)
    if record is not None:
        verify_model(use_case, record, loaded)
        return loaded
    loaded = warn_of_no_record(use_case, loaded)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    return loaded


def warn_of_no_record(use_case: UseCase, loaded: LoadedModel) -> LoadedModel:
    """A version that is not on record, with the warning that says so."""
    warning = (
        f"{use_case.name} version {loaded.version} is not on record: it was registered by hand in MLflow, or"
        " by an earlier Evergreen, so its file and its answers were compared with nothing"
    )
    return replace(loaded, warnings=(warning,))


def verify_file_digest(record: ModelRecord, digest: str, size_bytes: int) -> None:
    """Check the SHA-256 and the size of a version's file. Raises ModelRefused when it is not on record."""
    if digest == record.digest:
        return
    sizes = (
        "" if size_bytes == record.size_bytes else f", {size_bytes:,} bytes instead of {record.size_bytes:,}"
    )
    raise ModelRefused(
        f"{record.use_case} version {record.version} is not the model that was registered: the SHA-256 of its"
        f" file in MLflow is {shorten_digest(digest)}… and not {shorten_digest(record.digest)}… as on record"
        f"{sizes}",
        hint=_build_hint(record.use_case),
    )


def verify_model(use_case: UseCase, record: ModelRecord, loaded: LoadedModel) -> None:
    """Check that a loaded version has the signature on record and answers its golden rows as it did then.

    Raises ModelRefused saying what differs.
    """
    version = f"{use_case.name} version {loaded.version}"
    if compute_signature_digest(loaded.model) != record.signature_digest:
        raise ModelRefused(
            f"{version} has other inputs or classes than when it was registered",
            hint=_build_hint(use_case.name),
        )
    if record.golden_rows is None:
        return
    try:
        difference = find_golden_difference(use_case, loaded, record.golden_rows)
    except StoreError as error:
        raise ModelRefused(
            f"{version} cannot answer its golden rows: {error.message}", hint=error.hint
        ) from error
    if difference:
        raise ModelRefused(
            f"{version} answers otherwise than when it was registered: {difference}",
            hint="one file gives other answers with another CatBoost, or with other on-demand features:"
            f" compare the installed versions, or train again: evergreen train {use_case.name}",
        )


def _build_hint(use_case_name: str) -> str:
    return (
        f"see who may write to MLflow's artifacts; go back with evergreen rollback {use_case_name},"
        f" or train again: evergreen train {use_case_name}"
    )
