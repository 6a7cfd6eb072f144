"""The service's own Prometheus metrics on /metrics, beside those that BentoML has of requests."""

from __future__ import annotations

from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from evergreen.serving.following.exchange_folder import FollowerState
from evergreen.serving.predictions.log_counts import LogCounts

_Mode = Literal["livemax", "livemostrecent", "livesum"]
_LogField = Literal[
    "accepted", "adopted", "spooled", "spool_bytes", "written", "refused", "dropped", "spoilt_rows", "spoilt"
]
# The fields of `LogCounts` whose gauge has the sum of all workers. What is accepted or adopted is spooled,
# written, refused, dropped or spoilt.
_LOG: dict[_LogField, str] = {
    "accepted": "Rows of the prediction log that were answered since the start.",
    "adopted": "Rows taken over from processes that have ended.",
    "spooled": "Rows waiting on disk for MariaDB.",
    "spool_bytes": "Bytes that wait on disk.",
    "written": "Rows in MariaDB.",
    "refused": "Rows that MariaDB refused; should be 0.",
    "dropped": "Rows dropped because the spool was full; should be 0.",
    "spoilt_rows": "Rows that were in bytes of the spool that are no records any more; should be 0.",
    "spoilt": "Runs of bytes of the spool that were no records; should be 0.",
}


class ServiceMetrics:
    """Counters and gauges of one service, made in the worker after BentoML set up multi-process mode."""

    def __init__(self, use_case_name: str, registry: CollectorRegistry = REGISTRY) -> None:
        def _create_counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, ["use_case", *labels], registry=registry)

        def _create_gauge(name: str, text: str, mode: _Mode) -> Gauge:
            family = Gauge(name, text, ["use_case"], registry=registry, multiprocess_mode=mode)
            return family.labels(use_case_name)

        self._use_case_name = use_case_name
        self._predictions = _create_counter(
            "evergreen_predictions", "Predictions answered.", "model_version", "channel"
        )
        self._swaps = _create_counter("evergreen_model_swaps", "Models put into service.").labels(
            use_case_name
        )
        self._refused_models = _create_counter(
            "evergreen_models_refused", "Versions that a worker did not put into service, by reason."
        ).labels(use_case_name)
        self._version = _create_gauge("evergreen_model_version", "The version in service.", "livemostrecent")
        self._cached = _create_gauge(
            "evergreen_model_cached",
            "Workers whose model is of before their start, because MLflow or MariaDB did not answer.",
            "livesum",
        )
        self._log = {
            name: _create_gauge(f"evergreen_prediction_log_{name}", text, "livesum")
            for name, text in _LOG.items()
        }
        self._log_age = _create_gauge(
            "evergreen_prediction_log_spool_age_seconds",
            "Seconds for which the oldest rows on disk have waited for MariaDB; 0 where none do.",
            "livemax",
        )
        self._takeovers = _create_gauge(
            "evergreen_declaration_takeovers",
            "Changed declarations taken over since the service started.",
            "livemostrecent",
        )
        self._declaration_refused = _create_gauge(
            "evergreen_declaration_refused",
            "1 while a changed declaration is not taken over.",
            "livemostrecent",
        )
        gauges = (
            self._version,
            self._cached,
            self._log_age,
            self._takeovers,
            self._declaration_refused,
        )
        for value in (*gauges, *self._log.values()):
            value.set(0)

    def count_answers(self, version: int, channel: str, rows: int) -> None:
        """Count answered rows."""
        self._predictions.labels(self._use_case_name, str(version), channel).inc(rows)

    def count_swap(self, version: int, *, from_cache: bool) -> None:
        """Count that a model was put into service, and show its version and whether it is a cached one."""
        self._swaps.inc()
        self._version.set(version)
        self._cached.set(int(from_cache))

    def count_refused_model(self) -> None:
        """Count a version that was not put into service for a reason that is new."""
        self._refused_models.inc()

    def update_log(self, counts: LogCounts) -> None:
        """Set the gauges of the prediction log."""
        for name, gauge in self._log.items():
            gauge.set(counts[name])
        self._log_age.set(counts["spool_age_seconds"])

    def update_follower(self, state: FollowerState | None) -> None:
        """Show what became of changes of the declaration."""
        if state is not None:
            self._takeovers.set(state.takeovers)
            self._declaration_refused.set(state.refusal is not None)
