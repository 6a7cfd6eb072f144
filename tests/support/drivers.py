"""An environment in which mysqlclient is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evergreen.drivers import choice


def hide_mysqlclient(patch: pytest.MonkeyPatch) -> None:
    """In this process: whoever imports it fails. Engines that exist keep their driver."""
    patch.setattr(choice, "has_mysqlclient", lambda: False)
    patch.setitem(sys.modules, "MySQLdb", None)


def write_missing_mysqlclient(folder: Path) -> dict[str, str]:
    """The environment of processes for which it is not installed."""
    folder.mkdir(exist_ok=True)
    text = 'raise ImportError("hidden by a test", name="MySQLdb")\n'
    (folder / "MySQLdb.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
