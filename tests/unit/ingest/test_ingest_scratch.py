"""Temporary folders of ingests: gone with their block, and swept after a kill, but never from the living."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from evergreen.ingest.scratch import open_scratch_folder

HOLDER = """
from evergreen.ingest.scratch import open_scratch_folder
with open_scratch_folder() as folder:
    (folder / "part").mkdir()
    (folder / "part" / "0.run").write_text("rows")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_goes_with_its_block(temporary: Path) -> None:
    with open_scratch_folder() as folder:
        (folder / "facts").mkdir()
    assert not list(temporary.iterdir())


def test_what_the_killed_left_is_swept_and_what_the_living_use_is_not(temporary: Path) -> None:
    others = temporary / "evergreen-scratch-of-somebody-else"
    others.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        with open_scratch_folder() as mine, open_scratch_folder() as second:
            assert held.parent == mine.parent == second.parent == temporary
            assert {path.name for path in temporary.iterdir()} == {
                *(path.name for path in (held, mine, second, others))
            }
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert held.exists()
    with open_scratch_folder() as folder:
        assert not held.exists()
        assert folder.exists()
    assert list(temporary.iterdir()) == [others]
