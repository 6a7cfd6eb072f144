"""The footprint of a model: the size of its file and the time of one prediction."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.matrix import Columns, build_pool
from evergreen.usecase import UseCase

_CALLS = 100
_WARM_UP = 10


@dataclass(frozen=True)
class Footprint:
    """The size of a model's file in bytes, and the time of one row's prediction in milliseconds."""

    size_bytes: int
    latency_ms: float

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> Footprint:
        """What `to_json` returned."""
        return read_document(Footprint, document)


def measure_size_bytes(model: Any) -> int:
    """The size of a CatBoost model's file in CatBoost's own format."""
    with tempfile.TemporaryDirectory(prefix="evergreen-size-") as folder:
        path = Path(folder) / "model.cb"
        model.save_model(str(path))
        return path.stat().st_size


def measure_latencies_ms(use_case: UseCase, models: Sequence[Any], columns: Columns) -> list[float]:
    """Of each model the median time of one row's prediction on one thread, in milliseconds, pool included.

    The models are timed in turn on each row, so that other load of the machine slows all of them alike.
    """
    rows = [
        {name: values[index : index + 1] for name, values in columns.items()}
        for index in np.linspace(0, len(next(iter(columns.values()))) - 1, _CALLS + _WARM_UP).astype(int)
    ]
    kind = {"prediction_type": "Probability"} if use_case.label.classes else {}
    seconds: list[list[float]] = [[] for _ in models]
    for row in rows:
        for model, times in zip(models, seconds, strict=True):
            start = time.perf_counter()
            model.predict(build_pool(use_case, row), thread_count=1, **kind)
            times.append(time.perf_counter() - start)
    return [statistics.median(times[_WARM_UP:]) * 1000 for times in seconds]
