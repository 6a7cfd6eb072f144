"""How a version goes into service: fetched from MLflow, verified, warmed, and kept in the home's cache."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import (
    EvergreenError,
    ModelRefused,
    RegistryError,
    SignatureMismatch,
    StoreError,
    StoreUnreachable,
)
from evergreen.model.loaded_model import LoadedModel
from evergreen.registry.models import compute_file_digest, fetch_model_file, read_model_file
from evergreen.registry.verification import verify_file_digest, verify_model, warn_of_no_record
from evergreen.registry.versions import ModelVersion, read_version
from evergreen.serving.models.model_cache import ModelCache
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ServedModel
from evergreen.serving.models.time_limit import TimeLimitedCall
from evergreen.serving.models.warming import warm_model
from evergreen.serving.standing import format_restart_command
from evergreen.settings import Settings
from evergreen.store.connection.database import UNREACHABLE_HINT, get_engine
from evergreen.store.records.model_record import ModelRecord, find_model_record
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion

logger = logging.getLogger(__name__)

# A MariaDB that takes the connection and never answers is given up after so many seconds.
_RECORD_SECONDS = 10.0


@dataclass(frozen=True)
class ModelSource:
    """Where versions come from: MLflow, their records in MariaDB, and how a loaded one is warmed."""

    read_version: Callable[[int], ModelVersion]
    fetch_file: Callable[[int, Path], Path]
    find_record: Callable[[int, str], ModelRecord | None]
    warm: Callable[[LoadedModel], None]


class ModelLoader:
    """Brings versions of one use case's model into memory, verified. For one thread.

    `declaration` is the digest of the declaration that the service holds until it is restarted; None for one
    that follows its declaration. `refusals` is told of versions that
    are refused, and of those that are good.
    """

    def __init__(
        self,
        use_case: UseCase,
        source: ModelSource,
        cache: ModelCache,
        *,
        declaration: str | None,
        refusals: RefusalLog,
    ) -> None:
        self._use_case = use_case
        self._source = source
        self._cache = cache
        self._declaration = declaration
        self._refusals = refusals
        self._record_call: TimeLimitedCall[ModelRecord | None] = TimeLimitedCall(_RECORD_SECONDS)

    def load_verified_model(self, version: int) -> LoadedModel:
        """That version, ready to answer.

        Its file must be the one on record in MariaDB, fit the declaration, and give the golden rows the
        answers of its registration. A version that is not on record is served with a warning. Where MLflow
        does not give the right file, a copy that this home verified before is served, with a warning.

        Raises ModelRefused, also as SignatureMismatch, after it was reported; NotRegistered,
        RegistryUnreachable, StoreUnreachable, RegistryError.
        """
        registered = self._source.read_version(version)
        try:
            loaded, refusal = self._load(registered)
        except SignatureMismatch as error:
            mismatch = self._name_restart(error)
            self._report_refusal(registered, mismatch)
            raise mismatch from error
        except ModelRefused as error:
            self._report_refusal(registered, error)
            raise
        if refusal is None:
            self._refusals.forget(registered.version, registered.run_id)
        else:
            self._report_refusal(registered, refusal)
        return loaded

    def load_cached_model(self, champion: Champion | None) -> ServedModel | None:
        """A model that this home verified before, for a start without MLflow or MariaDB.

        That is the champion, where MLflow named it and there is a copy of it; else what this home put into
        service last. None where there is no copy that is whole, or its version was just refused. Raises
        ModelRefused, also as SignatureMismatch, when it does not fit the declaration any more.
        """
        with self._cache.hold_for_reading():
            cached = self._cache.find(champion.version, champion.run_id) if champion else None
            promoted_at = champion.promoted_at if champion else None
            if cached is None:
                last = self._cache.find_last_champion()
                if last is None:
                    return None
                cached, promoted_at = last.cached, last.promoted_at
            registered = cached.registered
            if self._refusals.find(registered.version, registered.run_id) is not None:
                return None
            loaded = self._read_file(cached.path, registered, record=None)
        if not cached.on_record:
            loaded = warn_of_no_record(self._use_case, loaded)
        return ServedModel(loaded, promoted_at, loaded_at=datetime.now(UTC), verified_at=cached.verified_at)

    def note_champion(self, served: ServedModel) -> None:
        """Remember that a version was put into service, for a start without MLflow."""
        if served.from_cache:
            return
        try:
            self._cache.note_champion(
                served.version, served.model.run_id, served.model.digest, served.promoted_at
            )
        except OSError as error:
            logger.warning("the champion is not remembered for a start without MLflow: %s", error)

    def _load(self, registered: ModelVersion) -> tuple[LoadedModel, ModelRefused | None]:
        """The version, and why MLflow's file of it was refused where a copy is served instead."""
        record = self._find_record(registered)
        with tempfile.TemporaryDirectory(prefix="evergreen-model-") as folder:
            try:
                path = self._source.fetch_file(registered.version, Path(folder))
            except (RegistryError, OSError) as error:
                trouble = error.message if isinstance(error, EvergreenError) else str(error)
                loaded = self._load_copy(registered, record, f"MLflow does not give its file: {trouble}")
                if loaded is not None:
                    return loaded, None
                if isinstance(error, RegistryError):
                    raise
                raise RegistryError(
                    f"the file of {self._describe(registered)} cannot be fetched from MLflow: {error}",
                    hint="see that version's artifacts in MLflow, or the disk that TMPDIR is on",
                ) from error
            digest = compute_file_digest(path)
            try:
                self._verify_file(registered, record, path, digest)
            except ModelRefused as error:
                loaded = self._load_copy(registered, record, error.message)
                if loaded is None:
                    raise
                return loaded, error
            loaded = self._read_file(path, registered, record)
            self._keep_copy(path, loaded, registered, record)
        return loaded if record else warn_of_no_record(self._use_case, loaded), None

    def _find_record(self, registered: ModelVersion) -> ModelRecord | None:
        """The version's record, None without one. Raises StoreUnreachable, also for a MariaDB that refuses or
        hangs."""
        version, run_id = registered.version, registered.run_id
        try:
            return self._record_call.run(lambda: self._source.find_record(version, run_id))
        except StoreError as error:
            reason, hint = error.message, error.hint
        except TimeoutError:
            reason, hint = "MariaDB does not answer", UNREACHABLE_HINT
        raise StoreUnreachable(
            f"{self._describe(registered)} cannot be compared with its record: {reason}", hint=hint
        )

    def _verify_file(
        self, registered: ModelVersion, record: ModelRecord | None, path: Path, digest: str
    ) -> None:
        """Raise ModelRefused for another file than the one on record, or, where there is no record, than the
        one that this home served before."""
        if record is not None:
            verify_file_digest(record, digest, path.stat().st_size)
            return
        known = self._cache.find(registered.version, registered.run_id)
        if known is not None and known.digest != digest:
            raise ModelRefused(
                f"{self._describe(registered)} has another file in MLflow than the one that this service"
                f" served: its SHA-256 is {shorten_digest(digest)}… and not {shorten_digest(known.digest)}…",
                hint="see who may write to MLflow's artifacts; another model needs a version of its own",
            )

    def _load_copy(
        self, registered: ModelVersion, record: ModelRecord | None, reason: str
    ) -> LoadedModel | None:
        """The copy of that version that this home verified before, with a warning; None without one."""
        wanted = record.digest if record is not None else None
        try:
            with self._cache.hold_for_reading():
                cached = self._cache.find(registered.version, registered.run_id, wanted)
                if cached is None:
                    return None
                loaded = self._read_file(cached.path, cached.registered, record)
        except OSError as error:
            logger.warning("the cache of models cannot be read: %s", error)
            return None
        verified_at = f"{cached.verified_at:%Y-%m-%d %H:%M} UTC"
        return replace(
            loaded,
            tags=registered.tags,
            warnings=(f"a copy of {verified_at} is served, which was verified then: {reason}",),
        )

    def _read_file(self, path: Path, registered: ModelVersion, record: ModelRecord | None) -> LoadedModel:
        """Load a file, compare signature and answers with the record, and warm the model."""
        loaded = read_model_file(self._use_case, registered, path)
        if record is not None:
            verify_model(self._use_case, record, loaded)
        self._source.warm(loaded)
        return loaded

    def _keep_copy(
        self, path: Path, loaded: LoadedModel, registered: ModelVersion, record: ModelRecord | None
    ) -> None:
        try:
            self._cache.store(
                path,
                registered,
                loaded.digest,
                on_record=record is not None,
                verified_at=datetime.now(UTC),
            )
        except OSError as error:
            # Not a reason to refuse the model: only a start without MLflow will miss it.
            logger.warning("no copy of %s is kept: %s", self._describe(registered), error)

    def _report_refusal(self, registered: ModelVersion, error: ModelRefused) -> None:
        now = datetime.now(UTC)
        self._refusals.report(Refusal(registered.version, registered.run_id, error.message, now, error.hint))

    def _name_restart(self, error: SignatureMismatch) -> SignatureMismatch:
        if self._declaration is None:
            return error
        return SignatureMismatch(
            f"{error.message}; this service holds the declaration that was there when it started"
            f" ({shorten_digest(self._declaration)}): if it was changed since,"
            f" {format_restart_command(self._use_case.name)}",
            hint=error.hint,
        )

    def _describe(self, registered: ModelVersion) -> str:
        return f"{self._use_case.name} version {registered.version}"


def build_model_loader(
    settings: Settings, use_case: UseCase, declaration: str | None, refusals: RefusalLog
) -> ModelLoader:
    """The loader of a service on MLflow, MariaDB and the home of these settings."""
    source = ModelSource(
        read_version=lambda version: read_version(settings, use_case.name, version),
        fetch_file=lambda version, folder: fetch_model_file(settings, use_case.name, version, folder),
        find_record=lambda version, run_id: find_model_record(
            get_engine(settings), use_case.name, version, run_id
        ),
        warm=lambda loaded: warm_model(use_case, loaded),
    )
    cache = ModelCache(settings.home / "models" / use_case.name)
    return ModelLoader(use_case, source, cache, declaration=declaration, refusals=refusals)
