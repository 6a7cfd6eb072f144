"""The part of a check's document about quality: realised and estimated, over the month and in slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.report.document_parts import QualityPart, QualityPoint, SlicePart
from evergreen.store.records.checks.drift import Quality
from evergreen.store.records.checks.quality_metric import QualityMetric
from evergreen.store.records.trial_rows import estimate_share
from evergreen.usecase import UseCase

_DAY = timedelta(days=1)


def build_quality(
    use_case: UseCase, quality: Quality | None, metrics: Sequence[QualityMetric] = ()
) -> QualityPart | None:
    """The quality that a check measured, with the days before it; None where it was not measured.

    The metric is the gate's where the check has it, else accuracy, or the mean absolute error of numbers.
    """
    if quality is None:
        return None
    metric = choose_metric(use_case, quality)
    value, rows = quality.metrics.get(metric), quality.labelled
    part = QualityPart(
        metric=metric,
        less_is_better=metric in LESS_IS_BETTER,
        reason=quality.reason,
        value=value,
        rows=rows,
        predictions=quality.predictions,
        realised=_list_points(metrics, metric, "realised"),
        estimated=_list_points(metrics, metric, "estimated"),
        metrics=dict(quality.metrics),
        orphans=quality.orphans,
    )
    if metric == "accuracy" and value is not None and rows:
        interval = estimate_share(rows, value)
        part = replace(part, low=interval.low, high=interval.high)
    estimated = quality.estimated
    if estimated is None:
        return part
    part = replace(part, trusted=estimated.trusted, trust=estimated.trust_reason or estimated.reason)
    estimate = estimated.find(metric)
    if estimate is None:
        return part
    return replace(
        part,
        estimate=estimate.value,
        estimate_low=estimate.low,
        estimate_high=estimate.high,
        estimate_rows=estimate.rows,
        holdout=estimate.reference,
    )


def choose_metric(use_case: UseCase, quality: Quality) -> str:
    """The metric that is told: the gate's, if the check has it."""
    if use_case.gate.metric in quality.metrics:
        return use_case.gate.metric
    return "mae" if use_case.problem == "regression" else "accuracy"


def add_slice_quality(
    slices: Sequence[SlicePart], metric: str, metrics: Sequence[QualityMetric], version: int
) -> tuple[SlicePart, ...]:
    """The slices with the realised quality of one version's answers: the mean over the days, by rows.

    Slices without drift figures are added. Only means of single rows can be averaged so: other metrics than
    accuracy and the mean absolute error are left out.
    """
    if metric not in ("accuracy", "mae"):
        return tuple(slices)
    by_slice: dict[str, list[QualityMetric]] = defaultdict(list)
    for each in metrics:
        is_realised = each.kind == "realised" and each.metric == metric and each.model_version == version
        if is_realised and each.slice_name != ALL_ROWS and each.value is not None and each.rows:
            by_slice[each.slice_name].append(each)
    names = {part.name for part in slices}
    new = [SlicePart(name, 0, "unknown") for name in sorted(by_slice) if name not in names]
    return tuple(_add_value(part, metric, by_slice.get(part.name, ())) for part in (*slices, *new))


def _add_value(part: SlicePart, metric: str, days: Sequence[QualityMetric]) -> SlicePart:
    rows = sum(day.rows for day in days)
    if not rows:
        return part
    value = sum((day.value or 0.0) * day.rows for day in days) / rows
    part = replace(part, value=value, outcomes=rows)
    if metric != "accuracy":
        return part
    interval = estimate_share(rows, min(1.0, value))
    return replace(part, low=interval.low, high=interval.high)


def _list_points(metrics: Sequence[QualityMetric], metric: str, kind: str) -> tuple[QualityPoint, ...]:
    points = []
    for each in metrics:
        is_overall = each.kind == kind and each.metric == metric and each.slice_name == ALL_ROWS
        if is_overall and each.value is not None:
            start = datetime.combine(each.day, time(), UTC)
            points.append(
                QualityPoint(
                    start, start + _DAY, each.value, each.low, each.high, each.rows, each.model_version
                )
            )
    return tuple(points)
