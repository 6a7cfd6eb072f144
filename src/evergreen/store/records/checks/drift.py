"""Drift reports as MariaDB keeps them: one row per monitoring run, and what it measured as JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.records.checks.drift_evidence import MultivariateDrift, RefusedShare
from evergreen.store.records.checks.drift_metric import DriftMetric, Severity, insert_drift_metrics
from evergreen.store.records.checks.quality_metric import EstimatedQuality
from evergreen.store.tables.platform import DRIFT_REPORT

_METRICS = ("accuracy", "mae", "rmse")
_LARGEST = 5
# What a report's document has where it holds anything.
_OPTIONAL_PARTS = ("refused", "prediction", "multivariate", "since", "warnings", "notes", "pruned")


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's distribution in the log against the reference.

    `psi` is its population stability index, `chance` the index that as many rows of the reference itself may
    show; `level` names the range that `psi` lies in. `reference` and `current` are row counts by bin.
    `severity` is what the policy's limits make of it ("drift" where `drifted`), `p_value` the smallest of its
    tests, corrected for those of the whole check; None in reports of versions that made none.
    """

    feature: str
    psi: float
    chance: float = 0.0
    level: str = ""
    drifted: bool = False
    bins: tuple[str, ...] = ()
    reference: tuple[int, ...] = ()
    current: tuple[int, ...] = ()
    severity: Severity = "none"
    p_value: float | None = None

    @staticmethod
    def from_json(document: object) -> FeatureDrift:
        """The feature of a report of this version, or of one that had no severities."""
        feature = read_document(FeatureDrift, document)
        return replace(feature, severity="drift") if feature.drifted else feature


@dataclass(frozen=True)
class Quality:
    """What a model's answers were worth, as far as outcomes are known.

    `predictions` is their number in the report's window, `labelled` the number of those, of any time, whose
    outcome was learned lately. `metrics` are `accuracy`, or `mae` and `rmse`, over the labelled ones; None
    where there are none. `prediction_psi` compares the answers with those on the hold-out, None for too few;
    `answers` are the shares of the classes, or {"mean": value}. `orphans` is the number of ids for which an
    outcome came lately and that no logged prediction has; None in reports that did not count them.
    `estimated` is what the window's answers are likely to be worth, judged without outcomes; None in reports
    that did not estimate it. `notes` are faults of the outcomes in words.
    """

    predictions: int
    labelled: int
    metrics: Mapping[str, float | None]
    prediction_psi: float | None
    answers: Mapping[str, float]
    reason: str
    orphans: int | None = None
    estimated: EstimatedQuality | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """The document as it is stored: the metrics lie beside the other fields."""
        document = write_document(self)
        metrics = document["metrics"]
        assert isinstance(metrics, dict)
        optional = {name: document[name] for name in ("orphans", "estimated", "notes")}
        return {
            "predictions": self.predictions,
            "labelled": self.labelled,
            **metrics,
            **{name: document[name] for name in ("prediction_psi", "answers", "reason")},
            **{name: value for name, value in optional.items() if value not in (None, [])},
        }

    @staticmethod
    def from_json(document: JsonObject) -> Quality:
        """What `to_json` wrote, in this version or an earlier one, which may lack some of its keys."""
        metrics = {name: document[name] for name in _METRICS if name in document}
        return read_document(Quality, {"prediction_psi": None, "answers": {}, **document, "metrics": metrics})


@dataclass(frozen=True)
class DriftReport:
    """The prediction log over (window_start, window_end], compared with a model version's reference.

    Moments are aware UTC. `drifted` is None where the rows are too few for a verdict, `reason` says why in
    words, `features` are in falling order of PSI, and `quality` is None until it was measured. `refused` is
    what requests were refused for meanwhile, most rows first; () in reports of versions that did not count
    it.

    `prediction` compares the answers with those on the hold-out, `multivariate` all inputs together on a
    sample; None where that was not measured. `since` is the hour in which the drift is estimated to have
    begun; None without drift. `warnings` are what reached the limits of a warning, `notes`
    what could not be measured, and why, both in words. `metrics` are the figures as rows; they are stored in
    a table of their own, and () in a report that was read (see `read_drift_metrics`). `pruned`: the check is
    so old that its features and other details were dropped (see `old_checks`).
    """

    id: str
    use_case: str
    as_of: datetime
    model_version: int
    window_start: datetime
    window_end: datetime
    row_count: int
    drifted: bool | None
    reason: str
    features: tuple[FeatureDrift, ...] = ()
    quality: Quality | None = None
    refused: tuple[RefusedShare, ...] = ()
    prediction: FeatureDrift | None = None
    multivariate: MultivariateDrift | None = None
    since: datetime | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metrics: tuple[DriftMetric, ...] = ()
    pruned: bool = False

    @property
    def severity(self) -> Severity:
        """ "drift" where the rows have drifted, else "warning" where there is any, else "unknown" where there
        is no verdict, else "none"."""
        if self.drifted:
            return "drift"
        return "warning" if self.warnings else "unknown" if self.drifted is None else "none"

    @property
    def largest_psi(self) -> Mapping[str, float]:
        """The PSI of the five features that drifted most, by name."""
        return {feature.feature: feature.psi for feature in self.features[:_LARGEST]}

    def to_json(self) -> JsonObject:
        """The document of the column `report`: {"reason", "features", "quality" once it was measured}, and
        of the other fields those that hold anything."""
        document = write_document(replace(self, metrics=()))
        return {
            "reason": self.reason,
            "features": document["features"],
            **{name: document[name] for name in _OPTIONAL_PARTS if document[name]},
            **({"quality": self.quality.to_json()} if self.quality else {}),
        }


def compute_report_id(use_case_name: str, as_of: datetime) -> str:
    """The id of the report of (use_case, as_of), a UUIDv5."""
    return str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"evergreen:drift:{use_case_name}:{to_naive_utc(as_of).isoformat()}")
    )


def save_report(engine: sa.Engine, report: DriftReport) -> DriftReport:
    """Write a report and its metrics unless one of the same moment exists; the one that is stored then."""
    insert = sa.insert(DRIFT_REPORT).values(
        id=report.id,
        use_case=report.use_case,
        as_of=to_naive_utc(report.as_of),
        model_version=report.model_version,
        window_start=to_naive_utc(report.window_start),
        window_end=to_naive_utc(report.window_end),
        row_count=report.row_count,
        drifted=report.drifted,
        report=json.dumps(report.to_json()),
    )
    # The key is made of use case and moment: whoever comes second leaves everything as it is.
    with suppress(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(insert)
        insert_drift_metrics(
            connection, report.id, report.use_case, report.model_version, report.as_of, report.metrics
        )
    winner = find_report(engine, report.use_case, report.as_of)
    assert winner is not None
    return winner


def add_quality(engine: sa.Engine, report: DriftReport, quality: Quality) -> DriftReport:
    """Add the quality to a stored report; the whole report."""
    whole = replace(report, quality=quality)
    with engine.begin() as connection:
        connection.execute(
            sa.update(DRIFT_REPORT)
            .where(DRIFT_REPORT.c.id == report.id)
            .values(report=json.dumps(whole.to_json()))
        )
    return whole


def find_report(engine: sa.Engine, use_case_name: str, as_of: datetime) -> DriftReport | None:
    """The report of exactly that moment, if there is one."""
    c = DRIFT_REPORT.c
    return _read_report(
        engine, sa.select(DRIFT_REPORT).where(c.use_case == use_case_name, c.as_of == to_naive_utc(as_of))
    )


def find_latest_report(engine: sa.Engine, use_case_name: str) -> DriftReport | None:
    """The report of the greatest moment."""
    c = DRIFT_REPORT.c
    latest = sa.select(DRIFT_REPORT).where(c.use_case == use_case_name).order_by(c.as_of.desc()).limit(1)
    return _read_report(engine, latest)


def read_reports(
    engine: sa.Engine, use_case_name: str, since: datetime, before: datetime, limit: int
) -> list[DriftReport]:
    """The last reports of moments from `since` on and earlier than `before` (aware), the oldest first."""
    c = DRIFT_REPORT.c
    statement = (
        sa.select(DRIFT_REPORT)
        .where(c.use_case == use_case_name, c.as_of >= to_naive_utc(since), c.as_of < to_naive_utc(before))
        .order_by(c.as_of.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return [_parse_report(row) for row in reversed(rows)]


def find_last_window_end(engine: sa.Engine, use_case_name: str, before: datetime) -> datetime | None:
    """Where the last window with a verdict ended, among the reports of an earlier moment than `before`."""
    c = DRIFT_REPORT.c
    statement = sa.select(sa.func.max(c.window_end)).where(
        c.use_case == use_case_name, c.as_of < to_naive_utc(before), c.drifted.is_not(None)
    )
    with engine.connect() as connection:
        end = connection.execute(statement).scalar()
    return to_aware_utc(end) if end else None


def count_verdicts(engine: sa.Engine, use_case_name: str, version: int, before: datetime) -> int:
    """How many reports of an earlier moment than `before` came to a verdict on a model version."""
    c = DRIFT_REPORT.c
    statement = sa.select(sa.func.count()).where(
        c.use_case == use_case_name,
        c.model_version == version,
        c.as_of < to_naive_utc(before),
        c.drifted.is_not(None),
    )
    with engine.connect() as connection:
        return int(connection.execute(statement).scalar_one())


def _read_report(engine: sa.Engine, statement: sa.Select[*tuple[Any, ...]]) -> DriftReport | None:
    with engine.connect() as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else _parse_report(row)


def _parse_report(row: sa.Row[Any]) -> DriftReport:
    document: JsonObject = json.loads(row.report)
    features, quality = document["features"], document.get("quality")
    assert isinstance(features, list)
    columns = {
        "id": row.id,
        "use_case": row.use_case,
        "as_of": to_aware_utc(row.as_of),
        "model_version": row.model_version,
        "window_start": to_aware_utc(row.window_start),
        "window_end": to_aware_utc(row.window_end),
        "row_count": row.row_count,
        "drifted": None if row.drifted is None else bool(row.drifted),
        "features": tuple(map(FeatureDrift.from_json, features)),
        "quality": Quality.from_json(quality) if isinstance(quality, dict) else None,
    }
    return read_document(DriftReport, {**document, **columns})
