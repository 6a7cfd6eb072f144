"""The version of the code that runs, which is recorded with each ingest and each training."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from evergreen.version import VERSION

_GIT_SECONDS = 5.0


@cache
def read_code_version() -> str:
    """Evergreen's version, with the git commit when it runs from a checkout: "0.1.0+g1a2b3c4d5e6f"."""
    package = Path(__file__).parents[1]
    try:
        # Only where git tracks this package: an installed one may lie inside a checkout of something else.
        tracked_file = _run_git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _run_git(package, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return VERSION
    return f"{VERSION}+g{commit}" if tracked_file and commit else VERSION


def _run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    process = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=_GIT_SECONDS
    )
    return process.stdout.strip()
