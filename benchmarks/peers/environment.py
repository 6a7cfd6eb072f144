"""A peer's own Python environment, and the process that works in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common.timing import say

FEAST = ("feast==0.67.0", "pandas<3")
EVIDENTLY = ("evidently==0.7.23", "pandas<3", "pyarrow")
# It imports statsmodels without requiring it.
NANNYML = ("nannyml==0.13.1", "statsmodels<0.15")
_FOLDER = Path(__file__).parent
_MADE = "evergreen-made"


def make(folder: Path, requirements: tuple[str, ...]) -> Path:
    """The environment's Python; made if it is not there. Raises SystemExit with uv's last words."""
    python = folder / "bin" / "python"
    stamp = folder / _MADE
    if stamp.exists() and stamp.read_text(encoding="utf-8") == repr(requirements):
        return python
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        raise SystemExit("uv is not there\nHint: run make setup, which installs it")
    say(f"making an environment with {' and '.join(requirements)}")
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), *requirements],
    ):
        done = subprocess.run(
            [uv, *command], env=_environment(), capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode != 0:
            raise SystemExit(
                f"uv {command[0]} failed: {done.stderr.strip()[-1500:]}\n"
                "Hint: packages come from an index; name one by UV_INDEX or in pip's configuration"
            )
    stamp.write_text(repr(requirements), encoding="utf-8")
    return python


def _environment() -> dict[str, str]:
    """The user's own, and for uv, which does not read it, what pip is configured with (as in setup.sh)."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    told = dict(re.findall(r"^[a-z:.]*[.]([a-z-]+)='(.*)'$", listed.stdout, flags=re.MULTILINE))
    lists = {name: value.replace("\\n", " ").split() for name, value in told.items()}
    found = {
        "UV_DEFAULT_INDEX": " ".join(lists.get("index-url", [])),
        "UV_INDEX": " ".join(lists.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(lists.get("find-links", [])),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "true",
        "UV_LINK_MODE": "copy",
        "UV_HTTP_TIMEOUT": "180",
    }
    return {name: value for name, value in found.items() if value} | dict(os.environ)


class Peer:
    """A worker process in a peer's environment, asked one thing at a time."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """Let it do one task; what it tells, such as {"seconds": ...}. Raises SystemExit when it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{self._name} ended at {task} with status {self._process.wait()}; see its words above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(name: str, python: Path, folder: Path) -> Iterator[Peer]:
    """The peer's worker, of NAME_worker.py, on the files in `folder` (see there). It ends with its input."""
    environment = os.environ | {
        "FEAST_USAGE": "False",
        "DO_NOT_TRACK": "1",
        "NML_DISABLE_USAGE_LOGGING": "1",
        "PYTHONWARNINGS": "ignore",
    }
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [str(python), str(_FOLDER / "worker.py"), name, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
    )
    try:
        yield Peer(name, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
