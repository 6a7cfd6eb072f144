"""The drift report of a check: the champion's recent requests against the data that it was trained on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.reference_profile import load_reference_profile
from evergreen.model.signature import list_model_inputs
from evergreen.monitoring.drift.compare import ALL_ROWS, compare_windows
from evergreen.monitoring.drift.window import find_window_start
from evergreen.monitoring.drift.window_counts import read_window_counts
from evergreen.monitoring.refused import (
    build_refused_metrics,
    compute_refused_shares,
    describe_refused_shares,
    describe_refused_warnings,
)
from evergreen.registry.champion import Champion
from evergreen.store.predictions.clock_skew import find_future_predictions
from evergreen.store.predictions.refused import sum_refused_counts
from evergreen.store.records.drift import DriftReport, compute_report_id, count_verdicts
from evergreen.usecase import UseCase

# Clocks of machines that keep time differ by less.
_CLOCK_TOLERANCE = timedelta(minutes=1)


def build_drift_report(
    engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime
) -> DriftReport:
    """Measure the drift of the window's requests. Other channels of the prediction log, such as batch scoring
    and the shadows of a trial, do not count. Rows that services refused meanwhile have severities of their
    own, and do not decide whether the rows that were answered have drifted.

    Raises StoreError if the champion has no reference profile.
    """
    policy = use_case.drift
    start = find_window_start(engine, use_case, champion, as_of)
    reference = {ALL_ROWS: load_reference_profile(engine, use_case.name, champion.version)}
    if not reference[ALL_ROWS]:
        raise StoreError(
            f"version {champion.version} of {use_case.name} has no reference profile for drift",
            hint=f"a version that Evergreen trained has one: evergreen train {use_case.name}",
        )
    result = compare_windows(
        policy,
        reference,
        read_window_counts(engine, use_case, champion.version, reference, start, as_of),
        check_number=1 + count_verdicts(engine, use_case.name, champion.version, as_of),
        since=start,
        inputs=[feature.name for feature in list_model_inputs(use_case)],
    )
    refused = compute_refused_shares(policy, sum_refused_counts(engine, use_case, start, as_of), result.rows)
    skew = describe_clock_skew(engine, use_case, datetime.now(UTC))
    return DriftReport(
        id=compute_report_id(use_case.name, as_of),
        use_case=use_case.name,
        as_of=as_of,
        model_version=champion.version,
        window_start=start,
        window_end=as_of,
        row_count=result.rows,
        drifted=result.drifted,
        reason=result.reason + describe_refused_shares(refused),
        features=result.features,
        refused=refused,
        prediction=result.prediction,
        warnings=(*result.warnings, *describe_refused_warnings(refused), *skew),
        notes=result.notes,
        metrics=(*result.metrics, *build_refused_metrics(policy, refused)),
    )


def describe_clock_skew(engine: sa.Engine, use_case: UseCase, now: datetime) -> tuple[str, ...]:
    """A warning where answered requests carry a time after the present `now` (aware UTC); () otherwise."""
    future = find_future_predictions(engine, use_case, now + _CLOCK_TOLERANCE)
    if future.latest is None:
        return ()
    return (
        f"{future.rows:,} predictions carry a time in the future, up to {future.latest:%Y-%m-%d %H:%M} UTC: "
        "the clock of a service is ahead, and they are not looked at before that time",
    )
