"""What a governor may know, as a test needs it: a champion of forty days, and nothing that calls for more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from evergreen.monitoring.governor.inputs import (
    DriftEvidence,
    EstimatedEvidence,
    GovernorInputs,
    QualityPoint,
    RealisedEvidence,
)

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)

QUIET = GovernorInputs(
    as_of=NOW,
    champion=3,
    trained_at=NOW - 40 * DAY,
    promoted_at=NOW - 40 * DAY,
    drift=DriftEvidence("none", "0 of 27 features drifted", rows=2_000),
)
DRIFT = DriftEvidence("drift", "2 of 27 features drifted", rows=2_000, breaches=1)
DRIFTED = replace(QUIET, drift=DRIFT)


def build_realised(*values: float, expected: float | None = None, rows: int = 300) -> RealisedEvidence:
    """The realised accuracy of a champion that had 0.80 on its hold-out, by day up to now."""
    first = NOW - len(values) * DAY
    points = tuple(
        QualityPoint(first + number * DAY, first + (number + 1) * DAY, rows, value, 0.4, expected)
        for number, value in enumerate(values)
    )
    reference = QualityPoint(NOW - 90 * DAY, NOW - 40 * DAY, 2_000, 0.80, 0.4, expected)
    return RealisedEvidence("accuracy", False, reference, points)


def build_estimate(value: float, *, trusted: bool = True, breaches: int = 1) -> EstimatedEvidence:
    """An estimated accuracy, with a band of 0.01 to both sides, of a champion that had 0.80."""
    return EstimatedEvidence(
        metric="accuracy",
        less_is_better=False,
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        reference=0.80,
        rows=2_000,
        trusted=trusted,
        trust_reason="" if trusted else "it was 0.06 off last week",
        breaches=breaches,
    )
