"""The drift report of a check: the champion's recent requests against the data that it was trained on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from evergreen.model.prediction_counter import digest_bins
from evergreen.model.reference_profile import SlicedProfiles, load_sliced_profiles
from evergreen.model.signature import list_model_inputs
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.counts.recount import recount_window
from evergreen.monitoring.counts.window import read_window_counts
from evergreen.monitoring.drift.compare import compare_windows
from evergreen.monitoring.drift.multivariate import (
    build_multivariate_metrics,
    describe_multivariate_warnings,
    measure_multivariate_drift,
)
from evergreen.monitoring.drift.onset import find_drift_onset
from evergreen.monitoring.drift.outliers import build_outlier_metrics, describe_outliers, find_outliers
from evergreen.monitoring.drift.result import DriftResult
from evergreen.monitoring.drift.sample import read_input_sample
from evergreen.monitoring.drift.window import find_version_start, find_window_start
from evergreen.monitoring.refused import (
    build_refused_metrics,
    compute_refused_shares,
    describe_refused_shares,
    describe_refused_warnings,
)
from evergreen.registry.champion import Champion
from evergreen.store.predictions.clock_skew import find_future_predictions
from evergreen.store.predictions.counts import Counts, floor_hour, read_hourly_counts
from evergreen.store.predictions.refused import sum_refused_counts
from evergreen.store.records.checks.drift import DriftReport, compute_report_id, count_verdicts
from evergreen.store.records.checks.drift_evidence import MultivariateDrift
from evergreen.store.records.checks.drift_metric import DriftMetric
from evergreen.usecase import UseCase

# Clocks of machines that keep time differ by less.
_CLOCK_TOLERANCE = timedelta(minutes=1)
_WINDOWS_BACK = 4


def build_drift_report(
    engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime
) -> DriftReport:
    """Measure the drift of the requests that the champion answered in the window, from their counts.

    Other channels of the prediction log, such as batch scoring and the shadows of a trial, do not count.
    Four things are reported apart, with severities of their own, and do not decide whether the rows that
    were answered have drifted: rows that services refused meanwhile; drift of all inputs together, on a
    sample of rows; numbers far beyond the training data; and answers that carry a time in the future.

    A champion without a reference profile, which Evergreen did not train, gets no verdict, and the reason.
    """
    policy, version = use_case.drift, champion.version
    start = find_window_start(engine, use_case, champion, as_of)
    reference = load_sliced_profiles(engine, use_case.name, version)
    check_number = 1 + count_verdicts(engine, use_case.name, version, as_of)
    if reference.get(ALL_ROWS):
        counts = read_window_counts(engine, use_case, version, reference, start, as_of).counts
        result = _compare(use_case, reference, counts, start, check_number)
    else:
        counts = {}
        rows, _ = recount_window(engine, use_case, version, {}, start, as_of)
        result = build_result_without_reference(use_case, version, rows)
    refusals = compute_refused_shares(policy, sum_refused_counts(engine, use_case, start, as_of), result.rows)
    multivariate = _measure_sample(engine, use_case, champion, start, as_of, check_number)
    outliers = find_outliers(engine, use_case, reference.get(ALL_ROWS, {}), version, start, as_of)
    return DriftReport(
        id=compute_report_id(use_case.name, as_of),
        use_case=use_case.name,
        as_of=as_of,
        model_version=version,
        window_start=start,
        window_end=as_of,
        row_count=result.rows,
        drifted=result.drifted,
        reason=result.reason + describe_refused_shares(refusals),
        features=result.features,
        refused=refusals,
        prediction=result.prediction,
        multivariate=multivariate,
        since=_find_onset(engine, use_case, champion, reference, counts, result, as_of),
        warnings=(
            *result.warnings,
            *describe_refused_warnings(refusals),
            *describe_multivariate_warnings(multivariate),
            *describe_outliers(outliers),
            *describe_clock_skew(engine, use_case, datetime.now(UTC)),
        ),
        notes=result.notes,
        metrics=(
            *result.metrics,
            *build_refused_metrics(policy, refusals),
            *build_multivariate_metrics(policy, multivariate),
            *build_outlier_metrics(outliers),
        ),
    )


def build_result_without_reference(use_case: UseCase, version: int, rows: int) -> DriftResult:
    """The result of a window of a version without a reference profile: no verdict, and why."""
    reason = (
        f"no verdict: version {version} has no reference profile to compare {rows:,} predictions with; a"
        f" version that Evergreen trained has one (evergreen train {use_case.name})"
    )
    metric = DriftMetric(ALL_ROWS, "", "rows", rows, use_case.drift.min_rows, "unknown")
    return DriftResult(rows, None, reason, (), None, (metric,), (), ())


def describe_clock_skew(engine: sa.Engine, use_case: UseCase, now: datetime) -> tuple[str, ...]:
    """A warning where answered requests carry a time after the present `now` (aware UTC); () otherwise."""
    future = find_future_predictions(engine, use_case, now + _CLOCK_TOLERANCE)
    if future.latest is None:
        return ()
    return (
        f"{future.rows:,} predictions carry a time in the future, up to {future.latest:%Y-%m-%d %H:%M} UTC: "
        "the clock of a service is ahead, and they are not looked at before that time",
    )


def _measure_sample(
    engine: sa.Engine,
    use_case: UseCase,
    champion: Champion,
    start: datetime,
    end: datetime,
    check_number: int,
) -> MultivariateDrift | None:
    """A sample of the window's rows against one of the model's first rows, of at most `drift.window` and none
    of this window; None where the policy wants no sample."""
    rows = use_case.drift.sample_rows
    if not rows:
        return None
    first = find_version_start(engine, use_case, champion)
    earlier_end = start if first is None else min(start, first + use_case.drift.window)
    earlier_start = earlier_end - use_case.drift.window if first is None else first
    before = read_input_sample(engine, use_case, champion.version, earlier_start, earlier_end, rows)
    now = read_input_sample(engine, use_case, champion.version, start, end, rows)
    return measure_multivariate_drift(use_case, before, now, check_number=check_number)


def _compare(
    use_case: UseCase, reference: SlicedProfiles, counts: Counts, start: datetime, check_number: int
) -> DriftResult:
    return compare_windows(
        use_case.drift,
        reference,
        counts,
        check_number=check_number,
        since=start,
        inputs=[feature.name for feature in list_model_inputs(use_case)],
    )


def _find_onset(
    engine: sa.Engine,
    use_case: UseCase,
    champion: Champion,
    reference: SlicedProfiles,
    counts: Counts,
    result: DriftResult,
    as_of: datetime,
) -> datetime | None:
    """When the drift of a window began, looked for since the promotion and at most some windows back; None
    where the window has not drifted."""
    if not result.drifted:
        return None
    earliest = as_of - _WINDOWS_BACK * use_case.drift.window
    promoted_at = find_version_start(engine, use_case, champion)
    start = floor_hour(max(earliest, promoted_at) if promoted_at else earliest)
    digest = digest_bins(reference)
    hourly = read_hourly_counts(engine, use_case.name, champion.version, start, as_of, profile=digest)
    drifted = [feature.feature for feature in result.features if feature.drifted]
    onset = find_drift_onset(reference, hourly, counts, drifted)
    return None if onset is None else max(onset, promoted_at or onset)
