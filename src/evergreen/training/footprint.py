"""What a model costs to keep and to ask: the size of its file and the time of one prediction."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.training.matrix import Columns, pool
from evergreen.usecase import UseCase

_CALLS = 100
_WARM_UP = 10


def size_bytes(model: Any) -> int:
    """The size of its file in CatBoost's own format."""
    with tempfile.TemporaryDirectory(prefix="evergreen-size-") as folder:
        path = Path(folder) / "model.cb"
        model.save_model(str(path))
        return path.stat().st_size


def latency_ms(use_case: UseCase, model: Any, columns: Columns) -> float:
    """The median time of one row's prediction on one thread, in milliseconds, its pool included."""
    rows = [
        {name: values[index : index + 1] for name, values in columns.items()}
        for index in np.linspace(0, len(next(iter(columns.values()))) - 1, _CALLS + _WARM_UP).astype(int)
    ]
    kind = {"prediction_type": "Probability"} if use_case.label.classes else {}
    seconds = []
    for row in rows:
        began = time.perf_counter()
        model.predict(pool(use_case, row), thread_count=1, **kind)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[_WARM_UP:]) * 1000
