"""Reports of checks for tests of their document and of their page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.document_parts import (
    AlertLine,
    DecisionPart,
    Finding,
    PolicyCheck,
    SliceFeature,
    SlicePart,
)
from evergreen.monitoring.report.time_line import PeriodCounts
from evergreen.store.records.checks.drift import DriftReport, FeatureDrift, Quality
from evergreen.store.records.checks.drift_evidence import RefusedShare
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate, QualityMetric
from support import toy_declaration

AS_OF = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
USE_CASE = toy_declaration.USE_CASE
ESTIMATE = QualityEstimate("accuracy", 0.81, 0.79, 0.83, 100, 0.82)


def build_numbers(name: str = "visits", current: tuple[int, ...] = (10, 20, 70, 0)) -> FeatureDrift:
    """A feature of numbers with the edges 2 and 5; most of its values lie above 5 now."""
    return FeatureDrift(
        feature=name,
        psi=0.6,
        chance=0.01,
        level="major",
        drifted=True,
        bins=("<= 2", "(2, 5]", "> 5", "(missing)"),
        reference=(400, 400, 200, 0),
        current=current,
        severity="drift",
        p_value=1e-9,
    )


def build_names(
    name: str = "mood", names: tuple[str, ...] = ("fine", "so so"), *, counts: tuple[int, ...] | None = None
) -> FeatureDrift:
    """A feature of names that has not drifted; `counts` are those of the names in the window."""
    bins = (*names, "(other)", "(missing)")
    current = (*(counts or (10,) * len(names)), 5, 5)
    return FeatureDrift(
        feature=name,
        psi=0.001,
        chance=0.01,
        level="stable",
        drifted=False,
        bins=bins,
        reference=(*(counts or (100,) * len(names)), 50, 50),
        current=current,
    )


def build_drift_report(*features: FeatureDrift, as_of: datetime = AS_OF, rows: int = 100) -> DriftReport:
    """The drift report of a check with these features."""
    drifted = any(feature.drifted for feature in features) if rows else None
    return DriftReport(
        id=f"check-{as_of:%Y%m%d}",
        use_case="toy",
        as_of=as_of,
        model_version=3,
        window_start=as_of - 7 * DAY,
        window_end=as_of,
        row_count=rows,
        drifted=drifted,
        reason="1 of 2 features drifted" if rows else "no verdict: 0 of 500 predictions",
        features=features,
        quality=Quality(
            *(rows, 40, {"accuracy": 0.75}, None, {"no": 0.6, "yes": 0.4}, "accuracy 0.7500"),
            estimated=EstimatedQuality(
                (QualityEstimate("accuracy", 0.81, 0.79, 0.83, rows, 0.82),), "", True
            ),
        ),
        refused=(RefusedShare("age", "less_than_equal", 50, 0.2),),
    )


def build_records(*features: FeatureDrift) -> CheckRecords:
    """A check of everything: a month of counts in which `visits` moved ten days ago, quality, a decision."""
    features = features or (build_numbers(), build_names())
    starts = tuple(AS_OF - (31 - n) * DAY for n in range(31))
    usual, moved = (400, 400, 200, 0), (100, 200, 700, 0)
    table = np.array([usual] * 21 + [moved] * 10, dtype=np.int64)
    profile = FeatureProfile("visits", "numeric", (2.0, 5.0), (400, 400, 200, 0))
    metrics = [
        QualityMetric(
            3 if n > 10 else 2, start.date(), slice_name, kind, "accuracy", 0.8, 0.75, 0.85, 1_000, AS_OF
        )
        for n, start in enumerate(starts[:20])
        for slice_name in ("", "age=25 to 40", "age=under 25")
        for kind in ("realised", "estimated")
    ]
    return CheckRecords(
        use_case=USE_CASE,
        report=build_drift_report(*features),
        profiles={"visits": profile},
        former=[build_drift_report(build_names(), as_of=AS_OF - DAY)],
        decisions={AS_OF: (True, "yes, because of <drift>")},
        counts=PeriodCounts(starts, DAY, (1_000,) * 31, {"visits": table}),
        promoted_at=starts[0],
        slices=(SlicePart("age=25 to 40", 60, "warning", (SliceFeature("visits", 0.3, "warning"),)),),
        quality_metrics=metrics,
        health=(Finding("freshness of facts", "failed", "the newest row is 90 days old"),),
        decision=DecisionPart(
            True,
            "yes, because of <drift>",
            "drift",
            "all",
            (PolicyCheck("drift", "trigger", "fired", "it drifted", "1 check", "1 check"),),
            {"champion": "3"},
        ),
        alerts=(AlertLine(AS_OF, "drift", "json://here", "sent", "drift (v3)"),),
        notes=("a note",),
    )


def build_report(*features: FeatureDrift) -> CheckReport:
    """The report of `build_records`."""
    return build_check_report(build_records(*features))


def rename(feature: FeatureDrift, name: str) -> FeatureDrift:
    """The same feature under another name."""
    return replace(feature, feature=name)
