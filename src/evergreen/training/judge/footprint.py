"""What a model costs to keep and to ask: the size of its file and the time of one prediction."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.model.matrix import Columns, build_pool
from evergreen.usecase import UseCase

_CALLS = 100
_WARM_UP = 10


def measure_size_bytes(model: Any) -> int:
    """The size of its file in CatBoost's own format."""
    with tempfile.TemporaryDirectory(prefix="evergreen-size-") as folder:
        path = Path(folder) / "model.cb"
        model.save_model(str(path))
        return path.stat().st_size


def measure_latencies_ms(use_case: UseCase, models: Sequence[Any], columns: Columns) -> list[float]:
    """Of each model the median time of one row's prediction on one thread, in milliseconds, pool included.

    The models take turns row by row, so that whatever else the machine does slows all of them alike.
    """
    rows = [
        {name: values[index : index + 1] for name, values in columns.items()}
        for index in np.linspace(0, len(next(iter(columns.values()))) - 1, _CALLS + _WARM_UP).astype(int)
    ]
    kind = {"prediction_type": "Probability"} if use_case.label.classes else {}
    seconds: list[list[float]] = [[] for _ in models]
    for row in rows:
        for model, taken in zip(models, seconds, strict=True):
            began = time.perf_counter()
            model.predict(build_pool(use_case, row), thread_count=1, **kind)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[_WARM_UP:]) * 1000 for taken in seconds]
