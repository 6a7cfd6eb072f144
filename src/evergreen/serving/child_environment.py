"""The environment of processes that a service starts beside its workers."""

from __future__ import annotations

import os
from pathlib import Path


def build_child_environment() -> dict[str, str]:
    """The environment of a process that runs the code of this one, which may be a bento's own copy."""
    package_folder = str(Path(__file__).parents[2])
    paths = [package_folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
