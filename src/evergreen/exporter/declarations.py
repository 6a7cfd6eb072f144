"""The declared use cases, for several threads."""

from __future__ import annotations

import threading

from evergreen.errors import UseCaseError
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_valid_use_cases

# Of a folder that one thread imports, another one would get a module without its use case.
_lock = threading.Lock()


def load_declarations(settings: Settings) -> tuple[dict[str, UseCase], dict[str, UseCaseError]]:
    """What `load_valid_use_cases` returns; one thread at a time. Raises UntrustedFolder."""
    with _lock:
        return load_valid_use_cases(settings)
