"""A private server must not disturb another one on the same machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from evergreen.stack.servers.mariadb import PrivateMariaDB
from support.own_servers import Database, private_mariadb


def temporary_files_around_another_start(first: Database, folder: Path) -> tuple[set[str], set[str]]:
    """The files of a temporary table on `first`: before and after a second server starts and ends."""
    with first.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE mysql.parked (n INT) ENGINE=Aria")
        cursor.execute("SELECT @@tmpdir")
        ((shared,),) = cursor.fetchall()
        before = {path.name for path in Path(shared).glob("#sql*")}
        with private_mariadb(folder):
            pass
        return before, {path.name for path in Path(shared).glob("#sql*")}


def test_a_server_that_starts_leaves_the_temporary_tables_of_others_alone(
    mariadb: Database, tmp_path: Path
) -> None:
    before, after = temporary_files_around_another_start(mariadb, tmp_path)
    assert before
    assert after == before


def test_servers_that_share_a_temporary_folder_would_harm_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the own `--tmpdir` is for: without it the test above would fail."""
    command = PrivateMariaDB.command

    def without_tmpdir(self: PrivateMariaDB) -> list[str]:
        return [word for word in command(self) if not word.startswith("--tmpdir")]

    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    monkeypatch.setattr(PrivateMariaDB, "command", without_tmpdir)
    with private_mariadb(tmp_path / "first") as first:
        before, after = temporary_files_around_another_start(first, tmp_path / "second")
    assert before
    assert not before & after


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_server_starts_in_any_folder_under_any_umask_and_is_private(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        folder = tmp_path / os.fsdecode("에버 그린 #1; 50%41 $HOME it's".encode())
        with private_mariadb(folder, makes_data=True) as server:
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)
            assert stat.S_IMODE(server.server.home.stat().st_mode) == 0o700
            assert stat.S_IMODE((server.server.home / "init.sql").stat().st_mode) == 0o600
    finally:
        os.umask(before)
