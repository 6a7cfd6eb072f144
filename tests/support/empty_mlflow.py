"""An MLflow database without content: making its tables takes seconds, writing a copy does not."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from evergreen.registry.champion import read_champion
from evergreen.settings import Settings


def write_empty_database(path: Path) -> None:
    """Write the SQLite file of an MLflow store that holds nothing yet."""
    path.write_bytes(_make_empty_database())


@functools.cache
def _make_empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        # Whoever asks a store first makes its tables.
        read_champion(Settings(home=Path(folder), mlflow_tracking_uri=f"sqlite:///{path}"), "nobody")
        return path.read_bytes()
