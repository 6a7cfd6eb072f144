"""The service's own Prometheus metrics on /metrics, beside those that BentoML has of requests."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from evergreen.serving.predictions.log_writer import PredictionLog


class ServiceMetrics:
    """Counters and gauges of one service, made in the worker after BentoML set up multi-process mode."""

    def __init__(self, use_case: str, registry: CollectorRegistry = REGISTRY) -> None:
        def _create_counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, ["use_case", *labels], registry=registry)

        def _create_gauge(name: str, text: str) -> Gauge:
            family = Gauge(name, text, ["use_case"], registry=registry, multiprocess_mode="livemostrecent")
            return family.labels(use_case)

        self._use_case = use_case
        self._predictions = _create_counter(
            "evergreen_predictions", "Predictions answered.", "model_version", "channel"
        )
        self._swaps = _create_counter("evergreen_model_swaps", "Models put into service.").labels(use_case)
        self._version = _create_gauge("evergreen_model_version", "The model version in service.")
        self._queued = _create_gauge(
            "evergreen_prediction_log_queued", "Predictions in memory, not yet in MariaDB."
        )
        self._spilled = _create_gauge(
            "evergreen_prediction_log_spilled", "Predictions waiting on disk for MariaDB."
        )
        self._written = _create_gauge(
            "evergreen_prediction_log_written", "Predictions written since the start."
        )
        self._lost = _create_gauge(
            "evergreen_prediction_log_lost", "Predictions that MariaDB refused; should be 0."
        )
        for value in (self._version, self._queued, self._spilled, self._written, self._lost):
            value.set(0)

    def count_answers(self, version: int, channel: str, rows: int) -> None:
        """Count answered rows."""
        self._predictions.labels(self._use_case, str(version), channel).inc(rows)

    def count_swap(self, version: int) -> None:
        """Count that a model was put into service, and show its version."""
        self._swaps.inc()
        self._version.set(version)

    def update_log(self, log: PredictionLog) -> None:
        """Set the gauges of the prediction log to its counters."""
        self._queued.set(log.queued)
        self._spilled.set(log.spilled)
        self._written.set(log.written)
        self._lost.set(log.lost)
