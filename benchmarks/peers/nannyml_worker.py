"""What NannyML does in its own environment (see `worker`): each method of `Worker` is a task.

The folder holds reference.parquet, the hold-out with labels, and windows.parquet, windows of equal size one
after another, without labels.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nannyml
import pandas as pd


class Worker:
    def __init__(self, folder: Path) -> None:
        self.reference = pd.read_parquet(folder / "reference.parquet")
        self.windows = pd.read_parquet(folder / "windows.parquet")

    def estimate(self, window_rows: int) -> dict[str, Any]:
        """The estimated accuracy of each window, by CBPE with its own choices; and seconds."""
        started = time.perf_counter()
        estimator = nannyml.CBPE(
            y_pred_proba="score",
            y_pred="predicted",
            y_true="truth",
            problem_type="classification_binary",
            metrics=["accuracy"],
            chunk_size=window_rows,
        )
        result = estimator.fit(self.reference).estimate(self.windows)
        values = result.filter(period="analysis").to_df()[("accuracy", "value")]
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "accuracy": [float(value) for value in values]}
