"""Verified models on the disk of a service's home: for a start without MLflow, and for a way back.

    HOME/models/USE_CASE/VERSION-DIGEST/model.cb, model.json    a version's file, and what it is
    HOME/models/USE_CASE/last_champion.json                     what this home last put into service

Workers and replicas on one home share the folder: a version's folder appears whole or not at all, and is
removed only while nobody reads. A copy counts only while its file has the SHA-256 that stands beside it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen.private import make_private_folder, open_private_file, replace_file, write_private_file
from evergreen.registry.models import MODEL_FILE, compute_file_digest
from evergreen.registry.versions import ModelVersion

logger = logging.getLogger(__name__)

# The champion, its predecessor, and one more: enough to go back twice without MLflow.
KEPT_VERSIONS = 3
_DESCRIPTION_FILE = "model.json"
_CHAMPION_FILE = "last_champion.json"
_LOCK_FILE = "lock"
_DRAFT_PREFIX = ".draft-"
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class CachedModel:
    """A version's file on disk, whole: `digest` is its SHA-256.

    `on_record`: it was verified by a record in MariaDB, at `verified_at` (aware UTC).
    """

    path: Path
    registered: ModelVersion
    digest: str
    on_record: bool
    verified_at: datetime


@dataclass(frozen=True)
class LastChampion:
    """What this home last put into service, and when it had become champion (aware UTC)."""

    cached: CachedModel
    promoted_at: datetime | None


class ModelCache:
    """The verified models of one use case in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold_for_reading(self) -> Iterator[None]:
        """Meanwhile no process removes a version's folder. Raises OSError."""
        with self._lock(fcntl.LOCK_SH):
            yield

    def find(self, version: int, run_id: str, digest: str | None = None) -> CachedModel | None:
        """The copy of that version of that MLflow run; None where there is none, or it is damaged.

        Of several, whose files differ, that of the given digest, else the one that was verified last.
        """
        copies = [
            copy
            for folder in self._list_folders(f"{version}-*")
            if (copy := _read_copy(folder))
            and copy.registered.run_id == run_id
            and digest in (None, copy.digest)
        ]
        return max(copies, key=lambda copy: copy.verified_at, default=None)

    def store(
        self, path: Path, registered: ModelVersion, digest: str, *, on_record: bool, verified_at: datetime
    ) -> None:
        """Keep a copy of a verified file, and no more than `KEPT_VERSIONS`. Raises OSError."""
        target = self._folder / f"{registered.version}-{digest[:_DIGEST_CHARACTERS]}"
        description = {
            "version": registered.version,
            "run_id": registered.run_id,
            "tags": dict(registered.tags),
            "digest": digest,
            "on_record": on_record,
            "verified_at": verified_at.isoformat(),
        }
        with self._lock(fcntl.LOCK_EX):
            if _read_copy(target) is None:
                draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=self._folder))  # for its owner only
                try:
                    with replace_file(draft / MODEL_FILE) as part:
                        shutil.copyfile(path, part)
                    write_private_file(draft / _DESCRIPTION_FILE, json.dumps(description))
                    shutil.rmtree(target, ignore_errors=True)  # a damaged one
                    draft.rename(target)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
            else:
                write_private_file(target / _DESCRIPTION_FILE, json.dumps(description))
            self._remove_surplus(target)

    def note_champion(self, version: int, run_id: str, digest: str, promoted_at: datetime | None) -> None:
        """Remember which version was put into service. Raises OSError."""
        document = {
            "version": version,
            "run_id": run_id,
            "digest": digest,
            "promoted_at": promoted_at.isoformat() if promoted_at else None,
        }
        make_private_folder(self._folder)
        write_private_file(self._folder / _CHAMPION_FILE, json.dumps(document))

    def find_last_champion(self) -> LastChampion | None:
        """What this home last put into service; None before the first, and where its copy is not whole."""
        document = _read_document(self._folder / _CHAMPION_FILE)
        if document is None:
            return None
        try:
            promoted_at = document["promoted_at"]
            cached = self.find(document["version"], document["run_id"], document["digest"])
            if cached is None:
                return None
            return LastChampion(cached, datetime.fromisoformat(promoted_at) if promoted_at else None)
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("%s is not readable: %s", self._folder / _CHAMPION_FILE, error)
            return None

    def _list_folders(self, pattern: str) -> list[Path]:
        return [path for path in self._folder.glob(pattern) if path.is_dir()]

    def _remove_surplus(self, newest: Path) -> None:
        """Remove drafts of killed processes, and versions beyond `KEPT_VERSIONS`: those verified the longest
        ago, but neither `newest` nor the last champion."""
        for draft in self._list_folders(f"{_DRAFT_PREFIX}*"):  # nobody else writes while the lock is held
            shutil.rmtree(draft, ignore_errors=True)
        champion = self.find_last_champion()
        kept = {newest, champion.cached.path.parent if champion else newest}
        copies = {
            folder: _read_copy(folder) for folder in self._list_folders("[0-9]*-*") if folder not in kept
        }
        for folder in [folder for folder, copy in copies.items() if copy is None]:
            shutil.rmtree(folder, ignore_errors=True)
        whole = [(copy.verified_at, folder) for folder, copy in copies.items() if copy is not None]
        for _, folder in sorted(whole, reverse=True)[KEPT_VERSIONS - len(kept) :]:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _lock(self, operation: int) -> Iterator[None]:
        make_private_folder(self._folder)
        handle = open_private_file(self._folder / _LOCK_FILE, os.O_RDWR)
        try:
            # A file system without locks: there a folder may vanish under a reader, who then loads it anew.
            with suppress(OSError):
                fcntl.flock(handle, operation)
            yield
        finally:
            os.close(handle)


def _read_copy(folder: Path) -> CachedModel | None:
    """What lies in a version's folder; None where it is missing or damaged."""
    document = _read_document(folder / _DESCRIPTION_FILE)
    path = folder / MODEL_FILE
    try:
        if document is None or compute_file_digest(path) != document["digest"]:
            return None
        return CachedModel(
            path,
            ModelVersion(int(document["version"]), document["run_id"], dict(document["tags"])),
            document["digest"],
            bool(document["on_record"]),
            datetime.fromisoformat(document["verified_at"]),
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _read_document(path: Path) -> Mapping[str, Any] | None:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
