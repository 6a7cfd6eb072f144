"""Drift reports and retrain decisions as they stand in MariaDB. Each is written once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.times import to_aware_utc, to_naive_utc


@dataclass(frozen=True)
class DriftReport:
    """One look at the prediction log over (window_start, window_end], aware UTC. `drifted` None: no verdict.

    `report` holds `reason`, `features` (see monitoring.drift.FeatureDrift) and, later, `quality`.
    """

    id: str
    use_case: str
    as_of: datetime
    model_version: int
    window_start: datetime
    window_end: datetime
    row_count: int
    drifted: bool | None
    report: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.report["reason"])


@dataclass(frozen=True)
class Decision:
    """The governor's answer as of a moment, with the reason in words. Moments are aware UTC."""

    id: str
    use_case: str
    as_of: datetime
    retrain: bool
    reason: str
    drift_report_id: str | None
    created_at: datetime


_REPORT = "id, use_case, as_of, model_version, window_start, window_end, row_count, drifted, report"
_DECISION = "id, use_case, as_of, retrain, reason, drift_report_id, created_at"


def compute_report_id(use_case: str, as_of: datetime) -> str:
    """The id of the report of (use_case, as_of), a UUIDv5."""
    return _compute_id("drift", use_case, as_of)


def compute_decision_id(use_case: str, as_of: datetime) -> str:
    """The id of the decision of (use_case, as_of), a UUIDv5."""
    return _compute_id("decision", use_case, as_of)


def save_report(engine: sa.Engine, made: DriftReport) -> DriftReport:
    """Write a report unless one of the same moment stands there already; return the one that stands."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"INSERT INTO drift_report ({_REPORT}) VALUES (:id, :use_case, :as_of, :model_version,"  # noqa: S608
                " :window_start, :window_end, :row_count, :drifted, :report) ON DUPLICATE KEY UPDATE id = id"
            ),
            {
                **vars(made),
                "as_of": to_naive_utc(made.as_of),
                "window_start": to_naive_utc(made.window_start),
                "window_end": to_naive_utc(made.window_end),
                "report": json.dumps(made.report),
            },
        )
    found = find_report(engine, made.use_case, made.as_of)
    assert found is not None
    return found


def add_to_report(engine: sa.Engine, made: DriftReport, part: str, content: Mapping[str, Any]) -> DriftReport:
    """Add a part such as `quality` to a report, and return the whole."""
    report = {**made.report, part: dict(content)}
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE drift_report SET report = :report WHERE id = :id"),
            {"report": json.dumps(report), "id": made.id},
        )
    return DriftReport(**{**vars(made), "report": report})


def find_report(engine: sa.Engine, use_case: str, as_of: datetime) -> DriftReport | None:
    """The report of exactly that moment, if there is one."""
    return _read_report(engine, "AND as_of = :as_of", use_case, as_of)


def find_latest_report(engine: sa.Engine, use_case: str) -> DriftReport | None:
    """The report of the greatest moment."""
    return _read_report(engine, "ORDER BY as_of DESC LIMIT 1", use_case, None)


def find_last_window_end(engine: sa.Engine, use_case: str, before: datetime) -> datetime | None:
    """Where the last window with a verdict ended, among the reports of an earlier moment than `before`."""
    with engine.connect() as connection:
        end = connection.execute(
            sa.text(
                "SELECT MAX(window_end) FROM drift_report"
                " WHERE use_case = :use_case AND as_of < :before AND drifted IS NOT NULL"
            ),
            {"use_case": use_case, "before": to_naive_utc(before)},
        ).scalar()
    return to_aware_utc(end) if end else None


def save_decision(engine: sa.Engine, made: Decision) -> Decision:
    """Write a decision unless one of the same moment stands there already; return the one that stands."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"INSERT INTO retrain_decision ({_DECISION}) VALUES (:id, :use_case, :as_of, :retrain,"  # noqa: S608
                " :reason, :drift_report_id, :created_at) ON DUPLICATE KEY UPDATE id = id"
            ),
            {**vars(made), "as_of": to_naive_utc(made.as_of), "created_at": to_naive_utc(made.created_at)},
        )
    found = find_decision(engine, made.use_case, made.as_of)
    assert found is not None
    return found


def find_decision(engine: sa.Engine, use_case: str, as_of: datetime) -> Decision | None:
    """The decision of exactly that moment, if there is one."""
    return _read_decision(engine, "AND as_of = :as_of", use_case, as_of)


def find_last_retrain(engine: sa.Engine, use_case: str, before: datetime) -> Decision | None:
    """The last decision to retrain of an earlier moment than `before`."""
    return _read_decision(
        engine, "AND retrain AND as_of < :as_of ORDER BY as_of DESC LIMIT 1", use_case, before
    )


def describe_latest_drift(engine: sa.Engine, use_case: str) -> dict[str, Any] | None:
    """The latest drift report in short: moments as aware UTC, the five features of greatest PSI."""
    found = find_latest_report(engine, use_case)
    if found is None:
        return None
    features = found.report["features"]
    return {
        "as_of": found.as_of,
        "model_version": found.model_version,
        "drifted": found.drifted,
        "reason": found.reason,
        "predictions": found.row_count,
        "window_start": found.window_start,
        "features_drifted": sum(feature["drifted"] for feature in features),
        "features": len(features),
        "largest_psi": {feature["feature"]: feature["psi"] for feature in features[:5]},
        "quality": found.report.get("quality"),
    }


def describe_latest_decision(engine: sa.Engine, use_case: str) -> dict[str, Any] | None:
    """The latest decision: as_of (aware UTC), retrain, reason."""
    found = _read_decision(engine, "ORDER BY as_of DESC LIMIT 1", use_case, None)
    return {"as_of": found.as_of, "retrain": found.retrain, "reason": found.reason} if found else None


def _compute_id(kind: str, use_case: str, as_of: datetime) -> str:
    return str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"evergreen:{kind}:{use_case}:{to_naive_utc(as_of).isoformat()}")
    )


def _read_row(
    engine: sa.Engine, columns: str, table: str, which: str, use_case: str, as_of: datetime | None
) -> dict[str, Any] | None:
    with engine.connect() as connection:
        # Columns, table and condition are this module's own text.
        row = connection.execute(
            sa.text(f"SELECT {columns} FROM {table} WHERE use_case = :use_case {which}"),  # noqa: S608
            {"use_case": use_case} | ({"as_of": to_naive_utc(as_of)} if as_of else {}),
        ).one_or_none()
    return dict(row._mapping) if row else None


def _read_report(engine: sa.Engine, which: str, use_case: str, as_of: datetime | None) -> DriftReport | None:
    fields = _read_row(engine, _REPORT, "drift_report", which, use_case, as_of)
    if fields is None:
        return None
    for name in ("as_of", "window_start", "window_end"):
        fields[name] = to_aware_utc(fields[name])
    fields["drifted"] = None if fields["drifted"] is None else bool(fields["drifted"])
    fields["report"] = json.loads(fields["report"])
    return DriftReport(**fields)


def _read_decision(engine: sa.Engine, which: str, use_case: str, as_of: datetime | None) -> Decision | None:
    fields = _read_row(engine, _DECISION, "retrain_decision", which, use_case, as_of)
    if fields is None:
        return None
    for name in ("as_of", "created_at"):
        fields[name] = to_aware_utc(fields[name])
    fields["retrain"] = bool(fields["retrain"])
    return Decision(**fields)
