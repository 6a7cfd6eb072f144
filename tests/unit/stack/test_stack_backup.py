"""The parts of a backup that need no server: scripts of other versions, manifests, drafts, copies."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.errors import BackupError
from evergreen.stack.backup.copies import copy_database, copy_tree
from evergreen.stack.backup.drafts import make_folder
from evergreen.stack.backup.manifest import (
    MANIFEST_FILE,
    BackupFile,
    Manifest,
    UseCaseState,
    read_manifest,
    resolve_file,
    verify_files,
    write_manifest,
)
from evergreen.stack.backup.mariadb_dump import convert_row_ends, parse_version

ROW = b"INSERT INTO `t` VALUES (1,'2026-01-01 00:00:00.000000','%s'),(2,'2038-01-19','%s');\n"
EARLY = ROW.replace(b"%s", b"2038-01-19 03:14:07.999999")
LATE = ROW.replace(b"%s", b"2106-02-07 06:28:15.999999")


@pytest.mark.parametrize(
    ("source", "target", "line", "loaded"),
    [
        ("10.11.19-MariaDB-0+deb12u1", "10.11.6-MariaDB", EARLY, EARLY),
        ("10.11.19-MariaDB", "11.4.2-MariaDB", EARLY, EARLY),
        ("10.11.19-MariaDB", "11.5.1-MariaDB", EARLY, LATE),
        ("10.11.19-MariaDB", "11.8.3-MariaDB-0+deb13u1", EARLY, LATE),
        ("11.8.3-MariaDB", "10.11.19-MariaDB", LATE, EARLY),
        ("11.8.3-MariaDB", "12.1.0-MariaDB", LATE, LATE),
    ],
)
def test_current_rows_end_when_the_targets_version_has_them_end(
    source: str, target: str, line: bytes, loaded: bytes
) -> None:
    assert list(convert_row_ends([line, b"COMMIT;\n"], source, target)) == [loaded, b"COMMIT;\n"]


def test_a_version_that_is_none_is_told() -> None:
    assert parse_version("10.11.19-MariaDB-0+deb12u1") == (10, 11)
    with pytest.raises(BackupError, match="'later' is no version"):
        parse_version("later")


def build_manifest(*files: BackupFile) -> Manifest:
    return Manifest(
        format=1,
        made_at=datetime(2026, 11, 30, 17, 15, 30, 123456, tzinfo=UTC),
        home="/srv/evergreen",
        was_running=True,
        versions={"mariadb": "10.11.19-MariaDB"},
        databases=("evergreen",),
        migrations=("0001_platform",),
        use_cases={"toy": UseCaseState(champion=None, ledger_lines=3)},
        files=files,
    )


def test_a_manifest_is_read_as_it_was_written_also_with_fields_of_later_versions(tmp_path: Path) -> None:
    manifest = build_manifest(BackupFile("a/b", 3, "0" * 64))
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    path = tmp_path / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    assert read_manifest(tmp_path) == manifest


def test_the_first_faults_are_named_and_others_counted(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("ab")
    missing = [BackupFile(f"missing-{number}", 1, "") for number in range(6)]
    with pytest.raises(BackupError) as error:
        verify_files(tmp_path, build_manifest(BackupFile("short", 3, ""), *missing), lambda _: None)
    assert "short has 2 bytes instead of 3; missing-0 is missing" in error.value.message
    assert error.value.message.endswith("missing-3 is missing, and 2 more")


@pytest.mark.parametrize("path", ["../keys.json", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_names_no_file_outside_of_its_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="outside"):
        resolve_file(tmp_path, path)


def test_a_folder_that_fails_leaves_nothing_and_one_that_succeeds_has_its_name(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fill_half() -> None:
        with make_folder(target) as draft:
            (draft / "half").write_text("of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_half()
    assert not list(tmp_path.iterdir())
    with make_folder(target, lambda draft: (draft / "last").touch()) as draft:
        (draft / "all").write_text("of it")
        assert not target.exists()
    assert {path.name for path in target.iterdir()} == {"all", "last"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_another_process_fills_is_left_to_it(tmp_path: Path) -> None:
    abandoned, living = (tmp_path / f".evergreen-unfinished-{name}" for name in ("a", "b"))
    abandoned.mkdir()
    living.mkdir()
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with make_folder(tmp_path / "target"):
            pass
    finally:
        os.close(handle)
    assert {path.name for path in tmp_path.iterdir()} == {"target", living.name}


def test_a_database_is_copied_while_somebody_writes_to_it(tmp_path: Path) -> None:
    source, folder = tmp_path / "x.db", tmp_path / "backup"
    with sqlite3.connect(source) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (n)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed yet
        file = copy_database(source, folder, "deep/x.db")
    assert [path.name for path in (folder / "deep").iterdir()] == ["x.db"]
    assert file.size == (folder / "deep" / "x.db").stat().st_size
    with sqlite3.connect(folder / "deep" / "x.db") as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_a_tree_is_copied_without_links_and_what_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    for name in ("a/x", "a/lock", "y"):
        (source / name).write_text(name)
    (source / "link").symlink_to("/etc/passwd")
    files = copy_tree(source, tmp_path / "backup", "part", lambda _: None, leave_out={"lock"})
    assert sorted(file.path for file in files) == ["part/a/x", "part/y"]
    assert copy_tree(tmp_path / "nothing", tmp_path / "backup", "more", lambda _: None) == []
