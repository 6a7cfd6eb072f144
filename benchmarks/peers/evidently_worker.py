"""What Evidently does in its own environment (see `worker`): each method of `Worker` is a task.

The folder holds reference.parquet and current.parquet, which are read into memory first.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


class Worker:
    def __init__(self, folder: Path) -> None:
        self.reference = pd.read_parquet(folder / "reference.parquet")
        self.current = pd.read_parquet(folder / "current.parquet")

    def drift(self) -> dict[str, Any]:
        """Seconds of a report of every column's drift, with Evidently's own choice of tests; and how many
        columns it calls drifted."""
        started = time.perf_counter()
        snapshot = Report([DataDriftPreset()]).run(self.current, self.reference)
        found = snapshot.dict()
        seconds = time.perf_counter() - started
        counts = [
            metric["value"]["count"]
            for metric in found["metrics"]
            if isinstance(metric.get("value"), dict) and "count" in metric["value"]
        ]
        return {"seconds": seconds, "rows": len(self.current), "drifted": counts[0] if counts else None}
