"""What an ingest is recorded with, beside its rows: which declaration, and which code."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import evergreen
from evergreen.hiding import hide_secrets
from evergreen.usecase import UseCase

# Words for people, and what only readers of the store heed: a change of these makes no row another one.
_OF_NO_MATTER = frozenset(("meaning", "title", "used_by_model", "max_age"))
_GIT_SECONDS = 5.0


def declaration_digest(use_case: UseCase) -> str:
    """SHA-256 over all of a declaration that an ingest heeds; the same in every process."""
    told = [use_case.name, *map(_told, (use_case.entity, use_case.views, use_case.label))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


@cache
def code_version() -> str:
    """Evergreen's version, with the git commit when it runs from a checkout: "0.1.0+g1a2b3c4d5e6f"."""
    package = Path(evergreen.__file__).parent
    try:
        # Only a checkout of Evergreen's own: an installed package may lie inside somebody else's.
        ours = _git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(package, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return evergreen.__version__
    return f"{evergreen.__version__}+g{commit}" if ours and commit else evergreen.__version__


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS)
    return done.stdout.strip()


def _told(value: object) -> str:
    if is_dataclass(value):
        named = [
            f"{f.name}={_told(getattr(value, f.name))}" for f in fields(value) if f.name not in _OF_NO_MATTER
        ]
        return f"{type(value).__name__}({', '.join(named)})"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_told, value))}]"
    if callable(value):
        try:
            return inspect.getsource(value)
        except (OSError, TypeError):
            return str(getattr(value, "__qualname__", type(value).__name__))
    return hide_secrets(repr(value))
