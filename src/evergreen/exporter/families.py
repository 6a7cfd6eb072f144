"""The metrics that the exporter publishes. All are gauges.

A moment is published in seconds since 1970 and not as an age, so that an age stays right between two
collections: `time() - evergreen_check_timestamp_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A metric: its name, what it says, and the names of its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ("use_case",)


_DAG = ("use_case", "dag")
_FEATURE = ("use_case", "feature")
_FIGURE = ("use_case", "feature", "metric")
_PART = ("use_case", "part")
_QUALITY = ("use_case", "kind", "metric")
_VIEW = ("use_case", "view")

_STORE = (
    Family("evergreen_declaration_valid", "1 where the declaration can be loaded, else 0."),
    Family("evergreen_feature_rows", "Rows of a view's history, all versions.", _VIEW),
    Family("evergreen_online_keys", "Keys that a view has features of.", _VIEW),
    Family("evergreen_label_rows", "Rows of the label, all versions."),
    Family("evergreen_newest_row_timestamp_seconds", "Event time of the newest row of a part.", _PART),
    Family(
        "evergreen_newest_row_limit_seconds",
        "How old the newest row of a part may be: the least of its contract's freshness and its max_age.",
        _PART,
    ),
    Family("evergreen_last_load_timestamp_seconds", "The moment as of which rows were loaded last."),
    Family("evergreen_last_ingest_failed", "1 where the ingest that began last failed or was interrupted."),
)
_MODELS = (
    Family("evergreen_champion_version", "The version that MLflow's alias champion names; 0 for none."),
    Family("evergreen_champion_since_timestamp_seconds", "When the ledger's champion became champion."),
    Family("evergreen_approval_waiting_version", "The version that waits for a person's answer; 0 for none."),
    Family("evergreen_trial_running", "1 while a version is on trial."),
    Family("evergreen_trial_end_timestamp_seconds", "When the trial that is running is to end."),
)
_MONITORING = (
    Family("evergreen_log_rows", "Rows of the prediction log.", ("use_case", "channel")),
    Family("evergreen_newest_prediction_timestamp_seconds", "When a request was answered last."),
    Family("evergreen_check_timestamp_seconds", "The moment as of which the newest check looked."),
    Family("evergreen_check_severity", "1 for the severity of the newest check.", ("use_case", "severity")),
    Family("evergreen_check_rows", "Predictions that the newest check looked at."),
    Family("evergreen_drift_value", "A figure of the newest check: see drift_metric.", _FIGURE),
    Family("evergreen_drift_limit", "What that figure is compared with.", _FIGURE),
    Family("evergreen_drift_severity", "0, 1 (warning) or 2 (drift) at the newest check.", _FEATURE),
    Family("evergreen_quality", "Quality at the newest check, realised or estimated.", _QUALITY),
    Family("evergreen_quality_low", "Lower end of the 95 % interval of an estimate.", _QUALITY),
    Family("evergreen_quality_high", "Upper end of the 95 % interval of an estimate.", _QUALITY),
    Family("evergreen_quality_reference", "The estimated metric on the champion's hold-out.", _QUALITY),
    Family("evergreen_quality_rows", "Predictions that the quality rests on.", ("use_case", "kind")),
    Family(
        "evergreen_health_severity",
        "The worst finding of the newest check on a topic: 0 ok, 1 warning, 2 error, -1 unknown.",
        ("use_case", "topic"),
    ),
    Family("evergreen_decision_timestamp_seconds", "The moment of the governor's newest decision."),
    Family("evergreen_decision_retrain", "1 where that decision was to retrain, else 0."),
)
_AIRFLOW = (
    Family("evergreen_dag_runs", "Runs that Airflow has of a DAG, by state.", (*_DAG, "state")),
    Family("evergreen_dag_last_success_timestamp_seconds", "When a run of a DAG last ended well.", _DAG),
    Family(
        "evergreen_dag_due_timestamp_seconds",
        "The newest tick of a DAG's schedule whose run should have ended by now.",
        _DAG,
    ),
    Family(
        "evergreen_airflow_component_healthy",
        "1 where a component of Airflow says that it is healthy, else 0.",
        ("component",),
    ),
)
_OWN = (
    Family(
        "evergreen_exporter_up",
        "1 where the last collection of a collector was whole, else 0.",
        ("collector",),
    ),
    Family("evergreen_exporter_collection_seconds", "How long the last collection took.", ("collector",)),
    Family(
        "evergreen_exporter_collected_timestamp_seconds", "When the last collection ended.", ("collector",)
    ),
)

FAMILIES: Mapping[str, Family] = {
    family.name: family for family in (*_STORE, *_MODELS, *_MONITORING, *_AIRFLOW, *_OWN)
}
