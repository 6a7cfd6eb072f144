"""Drift: do the requests of late look like the data that the champion was trained on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.matrix import Columns
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.reference_profile import load_reference_profile as load_profile
from evergreen.model.signature import list_model_inputs
from evergreen.monitoring.psi import classify_psi, compute_chance_psi, compute_psi
from evergreen.registry.champion import Champion
from evergreen.registry.champion_history import find_promotion_time
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.records.drift import (
    DriftReport,
    FeatureDrift,
    compute_report_id,
    find_last_window_end,
)
from evergreen.usecase import DriftPolicy, UseCase


def measure_feature_drift(
    use_case: UseCase, reference: Mapping[str, FeatureProfile], columns: Columns
) -> list[FeatureDrift]:
    """Every model input's drift, greatest first. `columns` as from `add_on_demand_columns`, of n current
    rows.

    A feature has drifted when its PSI reaches the policy's threshold and is more than chance brings. Features
    without a reference (declared since) are left out.
    """
    found = []
    for feature in list_model_inputs(use_case):
        if feature.name in reference:
            profile = reference[feature.name]
            found.append(compare_counts(profile, profile.count(columns[feature.name]), use_case.drift))
    return sorted(found, key=lambda f: (-f.psi, f.feature))


def compare_counts(profile: FeatureProfile, current: Any, policy: DriftPolicy) -> FeatureDrift:
    """One feature's counts against its reference."""
    value, by_chance = compute_psi(profile.counts, current), compute_chance_psi(profile.counts, current)
    return FeatureDrift(
        feature=profile.feature,
        psi=round(value, 6),
        chance=round(by_chance, 6),
        level=classify_psi(value),
        drifted=value >= policy.psi_threshold and value > by_chance,
        bins=tuple(profile.names()),
        reference=profile.counts,
        current=tuple(int(count) for count in current),
    )


def find_window_start(engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime) -> datetime:
    """Where the window that ends at `as_of` begins (exclusive, aware UTC).

    That is the latest of: `drift.window` before, the champion's promotion (its predecessor's requests say
    nothing about it), and the end of the last window that brought a verdict. One that had too few
    predictions for a verdict is carried on, so that a slow stream is judged when enough have come together.
    As of a moment before the champion's promotion the window is empty.
    """
    since = find_promotion_time(engine, use_case.name, champion.version) or champion.promoted_at
    bounds = [as_of - use_case.drift.window, since, find_last_window_end(engine, use_case.name, as_of)]
    return min(as_of, max(bound for bound in bounds if bound is not None))


def build_drift_report(
    engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime
) -> DriftReport:
    """Measure the online predictions of the window (batch scoring and canaries tell nothing of the traffic).

    Raises StoreError if the champion has no reference profile.
    """
    start = find_window_start(engine, use_case, champion, as_of)
    frame = read_predictions(engine, use_case, start, as_of)
    reference = load_profile(engine, use_case.name, champion.version)
    if not reference:
        raise StoreError(
            f"version {champion.version} of {use_case.name} has no reference profile for drift",
            hint=f"a version that Evergreen trained has one: evergreen train {use_case.name}",
        )
    features: Sequence[FeatureDrift] = []
    if len(frame):
        features = measure_feature_drift(
            use_case, reference, add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
        )
    drifted, reason = judge_drift(use_case.drift, features, len(frame), start)
    return DriftReport(
        id=compute_report_id(use_case.name, as_of),
        use_case=use_case.name,
        as_of=as_of,
        model_version=champion.version,
        window_start=start,
        window_end=as_of,
        row_count=len(frame),
        drifted=drifted,
        reason=reason,
        features=tuple(features),
    )


def judge_drift(
    policy: DriftPolicy, features: Sequence[FeatureDrift], rows: int, since: datetime
) -> tuple[bool | None, str]:
    """Whether there is drift, None for no verdict, and the reason in words."""
    if rows < policy.min_rows:
        return (
            None,
            (f"no verdict: {rows:,} of {policy.min_rows:,} predictions since {since:%Y-%m-%d %H:%M} UTC"),
        )
    drifted = sum(feature.drifted for feature in features)
    told = f"{drifted} of {len(features)} features drifted"
    enough = drifted >= policy.min_features
    if drifted and not enough:
        told += f" and it takes {policy.min_features}"
    if features:
        most = max(features, key=lambda feature: feature.psi)
        told += f" (largest PSI {most.psi:.2f} in {most.feature})"
    return enough, told
