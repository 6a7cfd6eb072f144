"""The document of a check, made of what the check recorded. No database is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from evergreen.model.reference_profile import PREDICTION, FeatureProfile
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    CheckPoint,
    DecisionPart,
    FeaturePart,
    Finding,
    QualityPart,
    SlicePart,
)
from evergreen.monitoring.report.time_line import (
    PeriodCounts,
    TimeLines,
    compute_time_lines,
    follow_reports,
)
from evergreen.store.records.drift import DriftReport, FeatureDrift
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
    `prediction` compares the answers with those on the hold-out. The rest is told as it is.
    """

    use_case: UseCase
    report: DriftReport
    profiles: Mapping[str, FeatureProfile] = field(default_factory=dict)
    former: Sequence[DriftReport] = ()
    decisions: Mapping[datetime, tuple[bool, str]] = field(default_factory=dict)
    counts: PeriodCounts | None = None
    prediction: FeatureDrift | None = None
    promoted_at: datetime | None = None
    slices: tuple[SlicePart, ...] = ()
    quality: QualityPart | None = None
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
    features.sort(key=lambda each: (_RANKS.get(each.severity, 2), -each.psi, each.feature))
    quality = report.quality
    prediction = None
    if records.prediction is not None:
        prediction = _build_feature(use_case, records.prediction, records.profiles, lines, "")
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
        severity=describe_severity(report),
        reason=report.reason,
        since=min(starts, default=None),
        features=tuple(features),
        prediction=prediction,
        answers=dict(quality.answers) if quality else {},
        slices=records.slices,
        refused=report.refused,
        quality=records.quality or build_quality(use_case, report),
        periods=lines.starts,
        period_seconds=lines.length.total_seconds(),
        period_rows=lines.rows,
        checks=_list_checks(records),
        health=records.health,
        decision=records.decision,
        alerts=records.alerts,
        notes=records.notes,
    )


def describe_severity(report: DriftReport) -> str:
    """The severity of a report: "drift", "none", or "unknown" without a verdict."""
    return "unknown" if report.drifted is None else "drift" if report.drifted else "none"


def build_quality(use_case: UseCase, report: DriftReport) -> QualityPart | None:
    """The quality that the report itself holds; None where it was not measured."""
    quality = report.quality
    if quality is None:
        return None
    metric = "mae" if use_case.problem == "regression" else "accuracy"
    return QualityPart(
        metric=metric,
        less_is_better=metric == "mae",
        reason=quality.reason,
        value=quality.metrics.get(metric),
        rows=quality.labelled,
        predictions=quality.predictions,
        metrics=dict(quality.metrics),
        orphans=quality.orphans,
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
        severity="drift" if drift.drifted else "none",
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
    ranked = sorted(names, key=lambda i: -max(_share(part.reference, i), _share(part.current, i)))
    kept, rest = sorted(ranked[:MOST_NAMES]), ranked[MOST_NAMES:]

    def cut(counts: tuple[int, ...]) -> tuple[int, ...]:
        """The counts of the names that are kept, of all others, and of missing values."""
        others = counts[-2] + sum(counts[i] for i in rest)
        return (*(counts[i] for i in kept), others, counts[-1])

    bins = (*(part.bins[i] for i in kept), _OTHER, _MISSING)
    return replace(part, bins=bins, reference=cut(part.reference), current=cut(part.current))


def _share(counts: Sequence[int], place: int) -> float:
    return counts[place] / (sum(counts) or 1)


def _list_checks(records: CheckRecords) -> tuple[CheckPoint, ...]:
    """This check and those before it, with what was decided."""
    points = []
    for report in (*records.former, records.report):
        retrain, reason = records.decisions.get(report.as_of, (None, report.reason))
        largest = max((feature.psi for feature in report.features), default=None)
        points.append(
            CheckPoint(
                report.as_of, describe_severity(report), report.model_version, retrain, largest, reason
            )
        )
    return tuple(points)
