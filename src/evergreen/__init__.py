"""Evergreen keeps models fresh: an MLOps Level 1 platform.

`evergreen.Client` and `evergreen.AsyncClient` call a prediction service. They are loaded when they are first
asked for, so that the command line and the parsing of DAG files stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from evergreen.version import VERSION

if TYPE_CHECKING:
    from evergreen.serving.calls.async_client import AsyncClient as AsyncClient
    from evergreen.serving.calls.client import Client as Client
    from evergreen.serving.calls.exchange import Retries as Retries

__version__ = VERSION
__all__ = ["AsyncClient", "Client", "Retries", "__version__"]

_MODULES = {
    "AsyncClient": "evergreen.serving.calls.async_client",
    "Client": "evergreen.serving.calls.client",
    "Retries": "evergreen.serving.calls.exchange",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use. Raises AttributeError for any other."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
