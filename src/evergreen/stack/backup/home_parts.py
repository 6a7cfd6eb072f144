"""What of a home belongs in a backup, and under which paths: the same in the home and in the backup.

Left out is what the stack makes anew: caches of the store and of models, logs, metrics, `stack.env` and
`stack.json`; and what can be asked for again: pages of profiles, backtests with their fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evergreen.serving.predictions.spool_folders import LOCK_NAME
from evergreen.stack.backup.copies import copy_file, copy_tree, list_tree
from evergreen.stack.backup.manifest import BackupFile, Progress
from evergreen.stack.servers.airflow import DATABASE_FILE
from evergreen.stack.servers.keys import KEYS_FILE

AIRFLOW_DATABASE = f"airflow/{DATABASE_FILE}"
MLFLOW_DATABASE = "mlflow/mlflow.db"
ARTIFACTS = "mlflow/artifacts"
SPOOL = "predictions"
REPORTS = "reports"
# Secrets among them: passwords, Airflow's Fernet key, without which its saved Connections cannot be read.
_FILES = (KEYS_FILE, "api-keys", "airflow/migrated")
_FILE_PATTERNS = ("demo-*.json",)


def copy_small_files(home: Path, folder: Path) -> list[BackupFile]:
    """Copy the stack's keys, the API keys' digests, the version of Airflow's database and tours' markers.

    Raises OSError.
    """
    names = [name for name in _FILES if (home / name).is_file()]
    names += sorted(path.name for pattern in _FILE_PATTERNS for path in home.glob(pattern))
    return [copy_file(home / name, folder, name) for name in names]


def copy_spool(home: Path, folder: Path, progress: Progress) -> list[BackupFile]:
    """Copy what services have answered and not delivered yet. A record that is being written may be cut off,
    as after a kill: who takes the spool over leaves it out.

    Services rename their segments while they fill and deliver them. So the spool is looked through again
    until no file is there that was not copied: one under a new name is copied again, and as its rows are the
    same, they are loaded once. Raises OSError.
    """
    source, leave_out = home / SPOOL, {LOCK_NAME}
    files: list[BackupFile] = []
    while remaining := list_tree(source, SPOOL, leave_out=leave_out) - {file.path for file in files}:
        known = {file.path for file in files}
        progress(f"copying {SPOOL}: {len(remaining):,} files to go")
        files += copy_tree(source, folder, SPOOL, progress, leave_out=leave_out, known=known)
    return files


def find_stack_files(home: Path) -> Sequence[Path]:
    """What shows that a home holds a stack; empty for one that holds none."""
    marks = (KEYS_FILE, "mariadb/data", MLFLOW_DATABASE, AIRFLOW_DATABASE)
    return [home / mark for mark in marks if (home / mark).exists()]
