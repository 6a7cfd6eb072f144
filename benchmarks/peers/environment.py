"""Feast's own Python environment, and the process that works in it."""

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

REQUIREMENTS = ("feast==0.67.0", "pandas<3")
_WORKER = Path(__file__).parent / "feast_worker.py"
_MADE = "evergreen-made"


def make(folder: Path) -> Path:
    """The environment's Python; made if it is not there. Raises SystemExit with uv's last words."""
    python = folder / "bin" / "python"
    stamp = folder / _MADE
    if stamp.exists() and stamp.read_text(encoding="utf-8") == repr(REQUIREMENTS):
        return python
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        raise SystemExit("uv is not there\nHint: run make setup, which installs it")
    say(f"making an environment with {' and '.join(REQUIREMENTS)}")
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS],
    ):
        done = subprocess.run(
            [uv, *command], env=_environment(), capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode != 0:
            raise SystemExit(
                f"uv {command[0]} failed: {done.stderr.strip()[-1500:]}\n"
                "Hint: Feast comes from a package index; name one by UV_INDEX or in pip's configuration"
            )
    stamp.write_text(repr(REQUIREMENTS), encoding="utf-8")
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


class Feast:
    """The worker process, asked one thing at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """Let it do one task; what it tells, such as {"seconds": ...}. Raises SystemExit when it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"Feast ended at {task} with status {self._process.wait()}; see its words above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(python: Path, folder: Path) -> Iterator[Feast]:
    """Feast with a store in `folder`, beside facts.parquet and labels.parquet. It ends with its input."""
    environment = os.environ | {"FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [str(python), str(_WORKER), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
    )
    try:
        yield Feast(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
