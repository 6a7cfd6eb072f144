"""Generated policies and inputs of the governor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from evergreen.monitoring.governor.inputs import (
    DriftEvidence,
    EstimatedEvidence,
    GovernorInputs,
    LabelCounts,
    PastRetrain,
    QualityPoint,
    RealisedEvidence,
)
from evergreen.usecase import QuietHours, RetrainPolicy

moments = st.timedeltas(timedelta(0), timedelta(days=700)).map(
    lambda age: datetime(2027, 1, 1, tzinfo=UTC) - age
)
durations = st.timedeltas(timedelta(0), timedelta(days=40))
shares = st.floats(0, 1)
counts = st.integers(0, 10_000)

quiet_hours = st.builds(
    QuietHours,
    start=st.times(),
    end=st.times(),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    days=st.lists(st.integers(0, 6), min_size=1, max_size=7).map(tuple),
)
policies = st.builds(
    RetrainPolicy,
    on_drift=st.booleans(),
    on_new_data=st.booleans(),
    cooldown=durations,
    window=st.sampled_from(["all", "since_drift", "validated", None, timedelta(days=50)]),
    on_realised_drop=st.booleans(),
    on_growth=st.sampled_from([0.0, 2.0, 5.0]),
    every=st.none() | st.timedeltas(timedelta(hours=1), timedelta(days=40)),
    drop_limit=st.floats(0, 10),
    min_sample=st.integers(1, 500),
    breaches=st.integers(1, 3),
    weekly_budget=st.none() | st.integers(1, 5),
    quiet_hours=st.just(()) | st.tuples(quiet_hours),
    min_new_labels=st.sampled_from([0, 100]),
    backoff=st.timedeltas(timedelta(0), timedelta(days=30)),
    cost=st.none() | st.floats(0, 10_000),
)
points = st.builds(
    QualityPoint,
    start=moments,
    end=moments,
    rows=counts,
    value=shares,
    deviation=shares,
    expected=st.none() | shares,
)
inputs = st.builds(
    GovernorInputs,
    as_of=moments,
    champion=st.integers(0, 9),
    trained_at=st.none() | moments,
    promoted_at=st.none() | moments,
    trained_since=st.none() | moments,
    drift=st.none()
    | st.builds(
        DriftEvidence,
        severity=st.sampled_from(["none", "warning", "drift", "unknown"]),
        reason=st.text(max_size=20),
        rows=counts,
        breaches=st.integers(0, 5),
        since=st.none() | moments,
    ),
    realised=st.none()
    | st.builds(
        RealisedEvidence,
        metric=st.sampled_from(["accuracy", "mae"]),
        less_is_better=st.booleans(),
        reference=st.none() | points,
        points=st.lists(points, max_size=4).map(tuple),
    ),
    estimated=st.none()
    | st.builds(
        EstimatedEvidence,
        metric=st.just("accuracy"),
        less_is_better=st.booleans(),
        value=shares,
        low=shares,
        high=shares,
        reference=shares,
        rows=counts,
        trusted=st.booleans(),
        trust_reason=st.text(max_size=10),
        breaches=st.integers(0, 5),
    ),
    labels=st.builds(
        LabelCounts,
        known=st.none() | counts,
        new=st.none() | counts,
        oldest=st.none() | moments,
        newest=st.none() | moments,
        training=st.none() | counts,
        available=st.none() | counts,
    ),
    predictions_per_day=st.none() | st.floats(0, 1e6),
    new_rows=st.booleans(),
    scheduled=st.booleans(),
    manual_reason=st.sampled_from(["", "", "", "new prices"]),
    running_since=st.none() | moments,
    retrains=st.lists(
        st.builds(
            PastRetrain,
            as_of=moments,
            trigger=st.just("drift"),
            outcome=st.sampled_from(["running", "promoted", "rejected", "failed", "unknown"]),
            drift_since=st.none() | moments,
        ),
        max_size=4,
    ).map(lambda retrains: tuple(sorted(retrains, key=lambda retrain: retrain.as_of))),
)
# Days after which a check is made, and what becomes of a retrain then.
courses = st.lists(
    st.tuples(st.integers(1, 50), st.sampled_from(["promoted", "rejected", "failed"])), max_size=40
)
