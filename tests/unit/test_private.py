"""Files with people's data: whole or not at all, and for their owner only, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from evergreen.demo.report import write_report
from evergreen.demo.stages import Tour
from evergreen.private import make_private_folder, open_private_file, replace_file, write_private_file
from evergreen.scoring.file import _write_output


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write_private_file(tmp_path / "text", "é")
    write_private_file(tmp_path / "bytes", b"\x00")
    assert (tmp_path / "text").read_bytes() == "é".encode()
    assert mode(tmp_path / "text") == mode(tmp_path / "bytes") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bytes", "text"]


def test_a_shared_file_stays_shared_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.touch()
    path.chmod(0o640)
    write_private_file(path, "new", keep_mode=True)
    assert (path.read_text(), mode(path)) == ("new", 0o640)
    write_private_file(path, "newer")
    assert (path.read_text(), mode(path)) == ("newer", 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_the_mode_of_anothers_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.touch(mode=0o666)
    os.chown(path, 1002, 1002)
    write_private_file(path, "mine", keep_mode=True)
    assert mode(path) == 0o600


def test_a_failing_write_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("former")

    def fail() -> None:
        with replace_file(path) as draft:
            draft.write_text("half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        fail()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["former"]


def test_a_name_of_many_bytes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("한" * 80)
    write_private_file(path, "text")
    assert path.read_text("utf-8") == "text"


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    mine, planted = tmp_path / "mine", tmp_path / "planted"
    mine.write_text("stays")
    planted.symlink_to(mine)
    write_private_file(planted, "page", keep_mode=True)
    assert (mine.read_text(), planted.read_text(), planted.is_symlink()) == ("stays", "page", False)


def test_folders_are_made_for_their_owner_and_shared_ones_stay(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    assert [mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o700, 0o700]


def test_a_growing_file_that_all_could_read_is_narrowed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch(mode=0o666)
    os.close(open_private_file(path, os.O_WRONLY | os.O_APPEND))
    assert mode(path) == 0o600


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_scored_rows_are_for_their_owner_only(tmp_path: Path, name: str) -> None:
    _write_output(pd.DataFrame({"client_id": [1]}), tmp_path / name, raw_text=False)
    assert mode(tmp_path / name) == 0o600
    (tmp_path / name).chmod(0o664)
    _write_output(pd.DataFrame({"client_id": [2]}), tmp_path / name, raw_text=False)
    assert mode(tmp_path / name) == 0o664


def test_a_demos_report_is_for_its_owner_only(tmp_path: Path) -> None:
    from rich.console import Console

    write_report(tmp_path / "demo.json", Tour(Console(quiet=True)), {}, verified=False)
    assert mode(tmp_path / "demo.json") == 0o600
