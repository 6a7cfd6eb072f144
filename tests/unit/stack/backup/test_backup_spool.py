"""The spool of a service that goes on while it is copied."""

from __future__ import annotations

from pathlib import Path

from evergreen.stack.backup.home_parts import SPOOL, copy_spool


def test_a_segment_that_is_renamed_meanwhile_is_in_the_copy(tmp_path: Path) -> None:
    """The service finishes it right after the folder was listed."""
    folder = tmp_path / "home" / SPOOL / "toy-1ab"
    folder.mkdir(parents=True)
    (folder / "00000001.open").write_text("answers")
    (folder / "lock").write_text("")
    renamed = []

    def finish_segment(what: str) -> None:
        if not renamed and "so far" in what:
            renamed.append((folder / "00000001.open").rename(folder / "00000001-3.segment"))

    files = copy_spool(tmp_path / "home", tmp_path / "copy", finish_segment)
    assert renamed
    assert [file.path for file in files] == [f"{SPOOL}/toy-1ab/00000001-3.segment"]
    copied = sorted(path.name for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert copied == ["00000001-3.segment"]  # nothing empty under the former name


def test_no_spool_is_no_fault(tmp_path: Path) -> None:
    assert copy_spool(tmp_path / "home", tmp_path / "copy", lambda _what: None) == []
