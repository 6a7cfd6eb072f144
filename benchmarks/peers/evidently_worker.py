"""Runs in Evidently's own environment: `evidently_worker.py FOLDER`; tasks and answers are JSON lines.

FOLDER holds reference.parquet and current.parquet, which are read into memory first.
"""

from __future__ import annotations

import json
import os
import sys
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


def main() -> None:
    # What Evidently prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(Path(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("task"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
