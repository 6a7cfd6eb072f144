"""Prometheus metrics of the stages of a prediction, and of the size of batches."""

from __future__ import annotations

import itertools

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

# What is measured of every batch costs a tenth of a small one's time; of one in eight, next to nothing.
_SAMPLE = 8
_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_000, 10_000, 100_000)
STAGES = ("validate", "queue", "features", "model", "spool")


class StageMetrics:
    """Histograms over one in eight batches that a worker answers: of those of single requests, and, counted
    by themselves because they are fewer, of those that are one request of many rows each (`is_request`)."""

    def __init__(self, use_case_name: str, registry: CollectorRegistry = REGISTRY) -> None:
        seconds = Histogram(
            "evergreen_stage_seconds",
            "Time of one in eight batches: validate (of one request), queue (until it began), "
            "features (on-demand features and inputs), model, spool (until the log was durable).",
            ["use_case", "stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = {stage: seconds.labels(use_case_name, stage) for stage in STAGES}
        self._rows = Histogram(
            "evergreen_batch_rows",
            "Rows that were answered together: of single requests, or of one with many; of one in eight.",
            ["use_case"],
            buckets=_ROWS,
            registry=registry,
        ).labels(use_case_name)
        self._batches = itertools.count(), itertools.count()
        self._turns = itertools.count(), itertools.count()

    def observe_batch(
        self, rows: int, features: float, model: float, spool: float, *, is_request: bool = False
    ) -> None:
        """Observe a batch; times in seconds."""
        if next(self._batches[is_request]) % _SAMPLE:
            return
        self._rows.observe(rows)
        self._stages["features"].observe(features)
        self._stages["model"].observe(model)
        self._stages["spool"].observe(spool)

    def observe_waiting(self, validate: float, queue: float, *, is_request: bool = False) -> None:
        """Observe what came before a batch: the time to validate one request, and until the batch began."""
        if next(self._turns[is_request]) % _SAMPLE:
            return
        self._stages["validate"].observe(validate)
        self._stages["queue"].observe(queue)
