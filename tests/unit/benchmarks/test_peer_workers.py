"""The workers of peers: scripts in environments that have neither Evergreen nor the benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.peers import environment

ECHO = """
import os
import sys

print("said while imported")

class Worker:
    def __init__(self, folder):
        self.folder = folder

    def look(self, name):
        os.write(1, b"said at work")
        return {"text": (self.folder / name).read_text(), "evergreen": "evergreen" in sys.modules}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shared worker and a peer that prints."""
    shared = (Path(environment.__file__).parent / "worker.py").read_text(encoding="utf-8")
    (tmp_path / "worker.py").write_text(shared, encoding="utf-8")
    (tmp_path / "echo_worker.py").write_text(ECHO, encoding="utf-8")
    (tmp_path / "word").write_text("hello", encoding="utf-8")
    monkeypatch.setattr(environment, "_FOLDER", tmp_path)
    return tmp_path


def test_a_worker_answers_whatever_its_peer_prints(folder: Path) -> None:
    with environment.running("echo", Path(sys.executable), folder) as peer:
        for _ in range(2):
            assert peer.ask("look", name="word") == {"text": "hello", "evergreen": False}


def test_a_worker_that_fails_is_named_with_its_task(folder: Path) -> None:
    with (
        environment.running("echo", Path(sys.executable), folder) as peer,
        pytest.raises(SystemExit, match="echo ended at look with status 1"),
    ):
        peer.ask("look", name="nothing")


@pytest.mark.parametrize("name", ["feast", "evidently", "nannyml"])
def test_every_peer_has_a_worker(name: str) -> None:
    path = Path(environment.__file__).parent / f"{name}_worker.py"
    assert "class Worker:" in path.read_text(encoding="utf-8")
