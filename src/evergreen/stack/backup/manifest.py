"""The manifest of a backup: what it holds, of which versions, and the digest of every file.

It is the last file that is written: a folder without one is no backup.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.errors import BackupError
from evergreen.private import write_private_file
from evergreen.version import VERSION

MANIFEST_FILE = "manifest.json"
FORMAT = 1
# Whose metadata a backup holds, and which migrate their databases forward only.
_PACKAGES = {"airflow": "apache-airflow-core", "mlflow": "mlflow"}

FILES_PER_REPORT = 200

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BackupFile:
    """A file of a backup: its path in the folder with `/`, its size in bytes, its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class UseCaseState:
    """What a backup holds of a use case: the champion's version by the ledger (None: nobody is champion), and
    how many lines the ledger has of it."""

    champion: int | None
    ledger_lines: int


@dataclass(frozen=True)
class Manifest:
    """The document `manifest.json`.

    `made_at` is the moment (aware UTC) at which MariaDB and MLflow's database were read. `home` is where the
    stack was. `versions` are those of evergreen, mariadb, mariadb-dump, airflow and mlflow. `migrations` are
    those that the platform's tables had had.
    """

    format: int
    made_at: datetime
    home: str
    was_running: bool
    versions: dict[str, str]
    databases: tuple[str, ...]
    migrations: tuple[str, ...]
    use_cases: dict[str, UseCaseState]
    files: tuple[BackupFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def to_json(self) -> JsonObject:
        """The document."""
        return write_document(self)


def read_installed_versions() -> dict[str, str]:
    """The versions of Evergreen and of the servers that are packages of its environment."""
    return {
        "evergreen": VERSION,
        **{name: importlib.metadata.version(package) for name, package in _PACKAGES.items()},
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of the backup in `folder`. Raises OSError."""
    write_private_file(folder / MANIFEST_FILE, json.dumps(manifest.to_json(), indent=1))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the backup in `folder`.

    Raises BackupError where there is none, it cannot be read, or a later version of Evergreen wrote it.
    """
    path = folder / MANIFEST_FILE
    try:
        document = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(
            f"{folder} is no backup: it has no {MANIFEST_FILE}",
            hint="name a folder that evergreen backup has written; an interrupted one leaves none",
        ) from None
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} cannot be read: {error}", hint="take another backup") from None
    if isinstance(document, dict) and document.get("format") != FORMAT:
        raise BackupError(
            f"{folder} has the format {document.get('format')}; this version of Evergreen reads {FORMAT}",
            hint="restore it with the version that wrote it, or a later one",
        )
    try:
        return read_document(Manifest, document)
    except ValueError as error:
        raise BackupError(f"{path} is damaged: {error}", hint="take another backup") from None


def verify_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Compare every file of a backup with the manifest: size and digest. Reads all of them.

    Raises BackupError with the first files that are missing or differ.
    """
    faults = []
    for number, file in enumerate(manifest.files):
        if number % FILES_PER_REPORT == 0:
            progress(f"verifying the backup: {number:,} of {len(manifest.files):,} files")
        if fault := _find_fault(folder, file):
            faults.append(f"{file.path} {fault}")
    if faults:
        more = f", and {len(faults) - 5:,} more" if len(faults) > 5 else ""
        raise BackupError(
            f"the backup {folder} is damaged: {'; '.join(faults[:5])}{more}",
            hint="nothing was changed; take another backup, or another copy of this one",
        )


def compute_file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_file(folder: Path, path: str) -> Path:
    """Where the file with that path of a manifest is. Raises BackupError for a path out of the folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise BackupError(f"the backup {folder} names a file outside of it: {path!r}", hint="do not use it")
    return folder.joinpath(*parts)


def _find_fault(folder: Path, file: BackupFile) -> str:
    path = resolve_file(folder, file.path)
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size:,} bytes instead of {file.size:,}"
        return "" if compute_file_digest(path) == file.sha256 else "has another content"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
