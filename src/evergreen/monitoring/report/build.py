"""The document of a check, made of what the check recorded. No database is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from evergreen.model.reference_profile import PREDICTION, FeatureProfile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    CheckPoint,
    DecisionPart,
    FeaturePart,
    Finding,
    SlicePart,
)
from evergreen.monitoring.report.quality_part import add_slice_quality, build_quality
from evergreen.monitoring.report.time_line import (
    PeriodCounts,
    TimeLines,
    compute_time_lines,
    follow_reports,
)
from evergreen.store.records.checks.drift import DriftReport, FeatureDrift
from evergreen.store.records.checks.drift_metric import DriftMetric
from evergreen.store.records.checks.quality_metric import QualityMetric
from evergreen.usecase import UseCase

# The most names of a category that the document keeps; the rarest are counted with "(other)".
MOST_NAMES = 40
_OTHER, _MISSING = "(other)", "(missing)"
_RANKS = {"drift": 0, "warning": 1, "unknown": 2, "none": 3}


@dataclass(frozen=True)
class CheckRecords:
    """What a check and those before it recorded.

    `report` is the drift report of the check, `profiles` the champion's reference by feature. `former` are
    the reports of the month before, the oldest first, `decisions` whether to retrain by the moment of their
    check. `counts` are the predictions of the month by bins in stretches of time, where they were kept.
    `metrics` are the figures of the check, `quality_metrics` those of the days of the month, of all slices.
    The rest is told as it is.
    """

    use_case: UseCase
    report: DriftReport
    profiles: Mapping[str, FeatureProfile] = field(default_factory=dict)
    former: Sequence[DriftReport] = ()
    decisions: Mapping[datetime, tuple[bool, str]] = field(default_factory=dict)
    counts: PeriodCounts | None = None
    metrics: Sequence[DriftMetric] = ()
    promoted_at: datetime | None = None
    slices: tuple[SlicePart, ...] = ()
    quality_metrics: Sequence[QualityMetric] = ()
    health: tuple[Finding, ...] = ()
    decision: DecisionPart | None = None
    alerts: tuple[AlertLine, ...] = ()
    notes: tuple[str, ...] = ()


def build_check_report(records: CheckRecords) -> CheckReport:
    """The document: what drifted, how much, since when, how good the answers are, and what was decided."""
    use_case, report = records.use_case, records.report
    lines = _build_time_lines(records)
    meanings = {feature.name: feature.meaning for feature in use_case.model_features}
    features = [
        _build_feature(use_case, each, records.profiles, lines, meanings.get(each.feature, ""))
        for each in report.features
    ]
    features.sort(key=lambda each: (_RANKS.get(each.severity, 2), -(each.psi or 0.0), each.feature))
    quality = build_quality(use_case, report.quality, records.quality_metrics)
    slices = records.slices
    if quality is not None:
        metrics = records.quality_metrics
        slices = add_slice_quality(slices, quality.metric, metrics, report.model_version)
    prediction = None
    if report.prediction is not None:
        prediction = _build_feature(use_case, report.prediction, records.profiles, lines, "")
    distances = {
        each.feature: each.value
        for each in records.metrics
        if each.slice == ALL_ROWS and each.metric == "js_distance"
    }
    features = [replace(each, js_distance=distances.get(each.feature)) for each in features]
    starts = [each.since for each in features if each.severity == "drift" and each.since is not None]
    return CheckReport(
        check=report.id,
        use_case=use_case.name,
        title=use_case.title,
        meaning=use_case.meaning,
        problem=use_case.problem,
        as_of=report.as_of,
        model_version=report.model_version,
        promoted_at=records.promoted_at,
        window_start=report.window_start,
        window_end=report.window_end,
        rows=report.row_count,
        severity=report.severity,
        reason=report.reason,
        since=report.since or min(starts, default=None),
        features=tuple(features),
        prediction=prediction,
        answers=dict(report.quality.answers) if report.quality else {},
        slices=slices,
        refused=report.refused,
        quality=quality,
        periods=lines.starts,
        period_seconds=lines.length.total_seconds(),
        period_rows=lines.rows,
        checks=_list_checks(records),
        health=records.health,
        decision=records.decision,
        alerts=records.alerts,
        notes=_list_notes(records),
    )


def _list_notes(records: CheckRecords) -> tuple[str, ...]:
    """The sentences of a check about what was found and what could not be measured."""
    report = records.report
    together = report.multivariate
    return (
        *(f"warning: {warning}" for warning in report.warnings),
        *([f"all inputs together: {together.reason}"] if together else []),
        *report.notes,
        *(report.quality.notes if report.quality else ()),
        *records.notes,
    )


def _build_time_lines(records: CheckRecords) -> TimeLines:
    """The time lines of the counts, or of the checks where none were kept."""
    limit = records.use_case.drift.psi_threshold
    if records.counts is not None and records.counts.starts:
        references = {name: profile.counts for name, profile in records.profiles.items()}
        return compute_time_lines(records.counts, references, dict.fromkeys(references, limit))
    version = records.report.model_version
    reports = [each for each in records.former if each.model_version == version]
    return follow_reports([*reports, records.report])


def _build_feature(
    use_case: UseCase,
    drift: FeatureDrift,
    profiles: Mapping[str, FeatureProfile],
    lines: TimeLines,
    meaning: str,
) -> FeaturePart:
    profile = profiles.get(drift.feature)
    kind = _read_kind(drift, profile)
    part = FeaturePart(
        feature="prediction" if drift.feature == PREDICTION else drift.feature,
        kind=kind,
        severity=drift.severity,
        psi=drift.psi,
        limit=use_case.drift.psi_threshold,
        chance=drift.chance,
        meaning=meaning,
        bins=drift.bins,
        edges=_list_edges(drift, profile) if kind == "numeric" else (),
        reference=drift.reference,
        current=drift.current,
        timeline=lines.values.get(drift.feature, ()),
        since=lines.since.get(drift.feature) if drift.drifted else None,
        p_value=drift.p_value,
    )
    part = replace(part, missing=_compute_shares(part, -1, _MISSING))
    if kind == "category":
        part = _limit_names(replace(part, unseen=_compute_shares(part, -2, _OTHER)))
    return part


def _read_kind(drift: FeatureDrift, profile: FeatureProfile | None) -> str:
    """Whether bins are those of numbers or of names, by the profile, or by what the bins are called."""
    if profile is not None:
        return profile.kind
    return "category" if len(drift.bins) > 1 and drift.bins[-2] == _OTHER else "numeric"


def _list_edges(drift: FeatureDrift, profile: FeatureProfile | None) -> tuple[float, ...]:
    """The edges between the bins of numbers; () where the profile is not that of the comparison."""
    if profile is None or len(profile.bins) != len(drift.bins) - 2:
        return ()
    return tuple(float(edge) for edge in profile.bins)


def _compute_shares(part: FeaturePart, place: int, name: str) -> tuple[float, float] | None:
    """The shares of one bin in reference and window; None where there is no such bin."""
    if len(part.bins) < 2 or part.bins[place] != name or len(part.bins) != len(part.reference):
        return None
    before, now = (
        counts[place] / sum(counts) if sum(counts) else 0.0 for counts in (part.reference, part.current)
    )
    return round(before, 6), round(now, 6)


def _limit_names(part: FeaturePart) -> FeaturePart:
    """A category's part with its most frequent names only; the others are counted with "(other)"."""
    if len(part.bins) - 2 <= MOST_NAMES or not len(part.bins) == len(part.reference) == len(part.current):
        return part
    names = range(len(part.bins) - 2)
    before, now = sum(part.reference) or 1, sum(part.current) or 1
    ranked = sorted(names, key=lambda i: -max(part.reference[i] / before, part.current[i] / now))
    most_frequent, rest = sorted(ranked[:MOST_NAMES]), ranked[MOST_NAMES:]

    def cut(counts: tuple[int, ...]) -> tuple[int, ...]:
        """The counts of the names that are kept, of all others, and of missing values."""
        others = counts[-2] + sum(counts[i] for i in rest)
        return (*(counts[i] for i in most_frequent), others, counts[-1])

    bins = (*(part.bins[i] for i in most_frequent), _OTHER, _MISSING)
    return replace(part, bins=bins, reference=cut(part.reference), current=cut(part.current))


def _list_checks(records: CheckRecords) -> tuple[CheckPoint, ...]:
    """This check and those before it, with what was decided."""
    points = []
    for report in (*records.former, records.report):
        retrain, reason = records.decisions.get(report.as_of, (None, report.reason))
        largest = max((feature.psi for feature in report.features), default=None)
        points.append(
            CheckPoint(report.as_of, report.severity, report.model_version, retrain, largest, reason)
        )
    return tuple(points)
