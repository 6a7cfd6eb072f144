"""A backup restored into an empty home is the same stack; a damaged or a cut-short one changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evergreen.errors import BackupError, ChildFailed, StackError, StackNotRunning, StoreRefused
from evergreen.registry import ledger
from evergreen.stack.backup.create import Backup, create_backup
from evergreen.stack.backup.manifest import (
    MANIFEST_FILE,
    BackupFile,
    UseCaseState,
    read_manifest,
    write_manifest,
)
from evergreen.stack.backup.mariadb_dump import DUMP_FILE
from evergreen.stack.backup.restore import restore_backup
from evergreen.store.history import recorded_set
from support.stack_home import HOME_FILES, StackHome, read_all_versions, read_sqlite
from support.waiting import eventually

KEPT = {path for path in HOME_FILES if not path.startswith(("cache", "logs", "stack.env"))} - {
    "predictions/toy-1ab/lock"
}


@pytest.fixture(scope="module")
def backup(home: StackHome, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    """A backup of it, taken while it is down. Tests that damage one take a copy."""
    return create_backup(home.folder, tmp_path_factory.mktemp("backups"))


@pytest.fixture
def copied(backup: Backup, tmp_path: Path) -> Path:
    """A copy of that backup."""
    return Path(shutil.copytree(backup.folder, tmp_path / "copied"))


def list_entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_restored_home_has_the_same_rows_past_ones_too_the_same_ledger_and_the_same_champion(
    home: StackHome, backup: Backup, use_cases: Path, tmp_path: Path
) -> None:
    with home.running_mariadb() as engine:
        before = read_all_versions(engine)
    restored = StackHome(tmp_path / "new" / "restored", use_cases)
    outcome = restore_backup(backup.folder, restored.folder)
    assert outcome.former is None
    assert {path for path in HOME_FILES if (restored.folder / path).exists()} - {"logs/mariadb.log"} == KEPT
    assert all((restored.folder / path).read_text() == HOME_FILES[path] for path in KEPT)
    with restored.running_mariadb() as engine:
        assert read_all_versions(engine) == before
        assert any("2038-01-19" not in row for row in before["evergreen.toy__facts"])
        [entry] = recorded_set.list_training_sets(engine, "toy")
        again = recorded_set.reproduce_training_set(engine, entry.training_run)
        assert (again.same, again.rebuilt_digest) == (True, entry.digest)
        # The ledger is append-only again, and numbers the next line.
        assert restored.promote_next(engine) == 3
        lines = ledger.read_entries(engine, "toy")
        assert [line.id for line in lines] == [3, 2, 1]
        with pytest.raises(StoreRefused, match="may not"), engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM evergreen_ledger.promotion")
    mlflow = restored.folder / "mlflow" / "mlflow.db"
    aliases = "SELECT alias, version FROM registered_model_aliases"
    assert read_sqlite(mlflow, aliases) == [("champion", 3)]
    assert read_sqlite(restored.folder / "airflow" / "airflow.db", "SELECT * FROM dag_run") == [
        (1, "success")
    ]


def test_a_backup_says_what_it_holds_and_only_its_owner_may_read_it(home: StackHome, backup: Backup) -> None:
    manifest = read_manifest(backup.folder)
    assert manifest == backup.manifest
    assert manifest.use_cases["toy"] == UseCaseState(champion=2, ledger_lines=2)
    assert (manifest.home, manifest.was_running) == (str(home.folder), False)
    assert manifest.databases == ("evergreen", "evergreen_ledger")
    assert {"evergreen", "mariadb", "mariadb-dump", "airflow", "mlflow"} == set(manifest.versions)
    files = {file.path for file in manifest.files}
    assert files == {DUMP_FILE, "keys.json", "mlflow/mlflow.db", "airflow/airflow.db", *KEPT}
    for path in (backup.folder, *backup.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    # Nothing of MariaDB's is left running or locked.
    assert not home.settings.mariadb_socket.exists()


def test_while_the_stack_runs_no_line_of_the_ledger_names_another_champion_than_mlflow(
    home: StackHome, use_cases: Path, tmp_path: Path
) -> None:
    copy = StackHome(tmp_path / "busy", use_cases)
    shutil.copytree(home.folder, copy.folder, ignore=shutil.ignore_patterns("*.sock"))
    stopping = threading.Event()
    with copy.locked_stack(), copy.running_mariadb() as engine:

        def promote_all_the_time() -> None:
            while not stopping.is_set():
                copy.promote_next(engine)

        worker = threading.Thread(target=promote_all_the_time)
        worker.start()
        try:
            eventually(lambda: len(ledger.read_entries(engine, "toy")) > 3)
            backup = create_backup(copy.folder, tmp_path / "backups")
            last = len(ledger.read_entries(engine, "toy"))
            eventually(lambda: len(ledger.read_entries(engine, "toy")) > last)
        finally:
            stopping.set()
            worker.join()
    assert backup.manifest.was_running
    restored = StackHome(tmp_path / "restored", use_cases)
    restore_backup(backup.folder, restored.folder)
    with restored.running_mariadb() as engine:
        [newest, *_] = ledger.read_entries(engine, "toy")
    mlflow = restored.folder / "mlflow" / "mlflow.db"
    [(champion,)] = read_sqlite(mlflow, "SELECT version FROM registered_model_aliases")
    [(registered,)] = read_sqlite(mlflow, "SELECT MAX(version) FROM model_versions")
    assert newest.to_version == champion == registered
    assert backup.manifest.use_cases["toy"].champion == champion


def test_a_home_that_holds_a_stack_is_refused_or_kept_whole(
    home: StackHome, backup: Backup, use_cases: Path, tmp_path: Path
) -> None:
    target = StackHome(tmp_path / "target", use_cases)
    target.write_files({"keys.json": "{}", "mine.txt": "mine", "stack.lock": ""})
    with pytest.raises(BackupError, match="holds a stack already") as refusal:
        restore_backup(backup.folder, target.folder)
    assert "--replace" in refusal.value.hint
    with target.locked_stack(), pytest.raises(StackError, match="runs"):
        restore_backup(backup.folder, target.folder, replace=True)
    assert list_entries(target.folder) == ["keys.json", "mine.txt", "stack.lock"]
    inode = (target.folder / "stack.lock").stat().st_ino
    outcome = restore_backup(backup.folder, target.folder, replace=True)
    assert outcome.former is not None
    assert list_entries(outcome.former) == ["keys.json", "mine.txt"]
    assert (target.folder / "keys.json").read_text() == (home.folder / "keys.json").read_text()
    # Whoever waits for the lock of the former home waits for the new one.
    assert (target.folder / "stack.lock").stat().st_ino == inode
    assert list_entries(tmp_path) == sorted([outcome.former.name, "target"])


def damage_script(folder: Path) -> None:
    content = bytearray((folder / DUMP_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / DUMP_FILE).write_bytes(content)


def remove_model(folder: Path) -> None:
    next((folder / "mlflow" / "artifacts").rglob("model.cbm")).unlink()


def damage_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("{")


def remove_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def name_later_airflow(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest.versions["airflow"] = "99.0.1"
    write_manifest(folder, manifest)


def name_later_format(folder: Path) -> None:
    text = (folder / MANIFEST_FILE).read_text()
    (folder / MANIFEST_FILE).write_text(text.replace('"format": 1', '"format": 2', 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_script, "mariadb.sql.gz has another content"),
        (remove_model, "model.cbm is missing"),
        (damage_manifest, "cannot be read"),
        (remove_manifest, "is no backup"),
        (name_later_airflow, "later versions: airflow 99.0.1"),
        (name_later_format, "has the format 2"),
    ],
)
def test_a_damaged_backup_or_a_later_one_changes_nothing(
    copied: Path, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    damage(copied)
    target = tmp_path / "target"
    with pytest.raises(BackupError, match=message):
        restore_backup(copied, target)
    assert list_entries(tmp_path) == ["copied"]


def test_what_mariadb_refuses_leaves_the_former_home_as_it_was(copied: Path, tmp_path: Path) -> None:
    manifest = read_manifest(copied)
    content = gzip.compress(b"INSERT INTO evergreen.nowhere VALUES (1);\n")
    (copied / DUMP_FILE).write_bytes(content)
    script = BackupFile(DUMP_FILE, len(content), hashlib.sha256(content).hexdigest())
    files = tuple(script if file.path == DUMP_FILE else file for file in manifest.files)
    write_manifest(copied, replace(manifest, files=files))
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "keys.json").write_text("{}")
    with pytest.raises(ChildFailed, match="nowhere"):
        restore_backup(copied, tmp_path / "target", replace=True)
    assert list_entries(tmp_path) == ["copied", "target"]
    assert list_entries(tmp_path / "target") == ["keys.json", "stack.lock"]


def test_a_killed_backup_leaves_none_and_the_next_one_clears_up(home: StackHome, tmp_path: Path) -> None:
    """`mariadb-dump` is one that never ends, so that the kill meets a backup in its midst."""
    programs, backups = tmp_path / "bin", tmp_path / "backups"
    programs.mkdir()
    fake = programs / "mariadb-dump"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "-- Setting savepoint..." >&2\nexec sleep 600\n'
    )
    fake.chmod(0o755)
    environment = {
        **os.environ,
        "EVERGREEN_HOME": str(home.folder),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "evergreen.cli", "backup", str(backups)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: backups.exists() and any(backups.rglob("mlflow.db")), 300)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    [left] = list_entries(backups)
    assert left.startswith(".evergreen-unfinished-")
    with pytest.raises(BackupError, match="is no backup"):
        restore_backup(backups / left, tmp_path / "target")
    backup = create_backup(home.folder, backups)
    assert list_entries(backups) == [backup.folder.name]


def test_a_failed_dump_leaves_no_backup(
    home: StackHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "mariadb-dump"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "half of it"\necho "server gone" >&2\nexit 2\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(ChildFailed, match="server gone"):
        create_backup(home.folder, tmp_path / "backups")
    assert list_entries(tmp_path / "backups") == []


def test_a_damaged_database_is_not_backed_up(home: StackHome, use_cases: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home.folder, copy, ignore=shutil.ignore_patterns("*.sock"))
    content = bytearray((copy / "mlflow" / "mlflow.db").read_bytes())
    content[4096 * 3 : 4096 * 5] = os.urandom(8192)
    (copy / "mlflow" / "mlflow.db").write_bytes(content)
    with pytest.raises(BackupError, match=r"mlflow\.db"):
        create_backup(copy, tmp_path / "backups")
    assert list_entries(tmp_path / "backups") == []


def test_there_must_be_a_stack_and_the_backup_must_not_be_in_it(home: StackHome, tmp_path: Path) -> None:
    with pytest.raises(StackNotRunning, match="there is no stack"):
        create_backup(tmp_path / "nothing", tmp_path / "backups")
    with pytest.raises(BackupError, match="is in the stack's home"):
        create_backup(home.folder, home.folder / "backups")
