"""Is a version's model still the one that was registered? Its file, its signature, its golden rows."""

from __future__ import annotations

from pathlib import Path

from evergreen.errors import ModelRefused, StoreError
from evergreen.model.golden_rows import find_golden_difference
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.signature import compute_signature_digest
from evergreen.store.records.model_record import ModelRecord
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest


def verify_model_file(record: ModelRecord, path: Path, digest: str) -> None:
    """Check a downloaded file, whose SHA-256 is `digest`, before anything reads it as a model.

    Raises ModelRefused when it is not the file on record.
    """
    if digest == record.digest:
        return
    size = path.stat().st_size
    sizes = "" if size == record.size_bytes else f", {size:,} bytes instead of {record.size_bytes:,}"
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


def _build_hint(use_case: str) -> str:
    return (
        f"see who may write to MLflow's artifacts; go back with evergreen rollback {use_case},"
        f" or train again: evergreen train {use_case}"
    )
