"""What a process that only writes predictions has to load."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        *("predictions.insert", "predictions.load", "predictions.outcomes", "predictions.refused"),
        "tables.prediction_tables",
    ],
)
def test_writers_of_predictions_load_no_data_frames(module: str) -> None:
    heavy = "('pandas', 'pyarrow', 'numpy', 'connectorx')"
    code = f"import sys, evergreen.store.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
