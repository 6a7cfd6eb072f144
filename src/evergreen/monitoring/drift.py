"""Drift: how much the inputs of recent requests differ from the data that the champion was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.matrix import Columns
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.reference_profile import FeatureProfile, load_reference_profile
from evergreen.model.signature import list_model_inputs
from evergreen.monitoring.psi import Counts, classify_psi, compute_chance_psi, compute_psi
from evergreen.monitoring.refused import compute_refused_shares, describe_refused_shares
from evergreen.registry.champion import Champion
from evergreen.registry.champion_history import find_promotion_time
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.predictions.refused import sum_refused_counts
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
    """The drift of every model input, greatest first.

    `columns` are those of the current rows, with the on-demand features (see `add_on_demand_columns`). A
    feature has drifted when its PSI reaches the policy's threshold and is more than chance brings. Features
    without a reference, which were declared after the training, are left out.
    """
    features = []
    for feature in list_model_inputs(use_case):
        if feature.name in reference:
            profile = reference[feature.name]
            features.append(compare_counts(profile, profile.count(columns[feature.name]), use_case.drift))
    return sorted(features, key=lambda drift: (-drift.psi, drift.feature))


def compare_counts(profile: FeatureProfile, current: Counts, policy: DriftPolicy) -> FeatureDrift:
    """Compare the current rows of one feature, counted by the bins of its reference profile, with it."""
    psi, chance = compute_psi(profile.counts, current), compute_chance_psi(profile.counts, current)
    return FeatureDrift(
        feature=profile.feature,
        psi=round(psi, 6),
        chance=round(chance, 6),
        level=classify_psi(psi),
        drifted=psi >= policy.psi_threshold and psi > chance,
        bins=tuple(profile.names()),
        reference=profile.counts,
        current=tuple(int(count) for count in current),
    )


def find_window_start(engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime) -> datetime:
    """The beginning (exclusive, aware UTC) of the window that ends at `as_of`.

    It is the latest of three moments: `drift.window` before `as_of`; the champion's promotion, because the
    requests before it were answered by its predecessor; and the end of the last window that brought a
    verdict. So a window with too few predictions for a verdict is continued by the next one. As of a moment
    before the champion's promotion the window is empty.
    """
    promoted_at = find_promotion_time(engine, use_case.name, champion.version) or champion.promoted_at
    bounds = [
        as_of - use_case.drift.window,
        promoted_at,
        find_last_window_end(engine, use_case.name, as_of),
    ]
    return min(as_of, max(bound for bound in bounds if bound is not None))


def build_drift_report(
    engine: sa.Engine, use_case: UseCase, champion: Champion, as_of: datetime
) -> DriftReport:
    """Measure the drift of the window's requests, whichever version answered them. Other channels of the
    prediction log, such as batch scoring and the shadows of a trial, do not count. Rows that services refused
    meanwhile are told, and decide nothing.

    Raises StoreError if the champion has no reference profile.
    """
    start = find_window_start(engine, use_case, champion, as_of)
    frame = read_predictions(engine, use_case, start, as_of)
    reference = load_reference_profile(engine, use_case.name, champion.version)
    if not reference:
        raise StoreError(
            f"version {champion.version} of {use_case.name} has no reference profile for drift",
            hint=f"a version that Evergreen trained has one: evergreen train {use_case.name}",
        )
    features: Sequence[FeatureDrift] = ()
    if len(frame):
        columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
        features = measure_feature_drift(use_case, reference, columns)
    drifted, reason = judge_drift(use_case.drift, features, len(frame), start)
    refused = compute_refused_shares(sum_refused_counts(engine, use_case, start, as_of), len(frame))
    return DriftReport(
        id=compute_report_id(use_case.name, as_of),
        use_case=use_case.name,
        as_of=as_of,
        model_version=champion.version,
        window_start=start,
        window_end=as_of,
        row_count=len(frame),
        drifted=drifted,
        reason=reason + describe_refused_shares(refused),
        features=tuple(features),
        refused=refused,
    )


def judge_drift(
    policy: DriftPolicy, features: Sequence[FeatureDrift], rows: int, since: datetime
) -> tuple[bool | None, str]:
    """Whether the features of `rows` predictions since a moment have drifted, and the reason in words. None
    where there are fewer predictions than the policy asks for."""
    if rows < policy.min_rows:
        reason = f"no verdict: {rows:,} of {policy.min_rows:,} predictions since {since:%Y-%m-%d %H:%M} UTC"
        return None, reason
    count = sum(feature.drifted for feature in features)
    drifted = count >= policy.min_features
    reason = f"{count} of {len(features)} features drifted"
    if count and not drifted:
        reason += f" and it takes {policy.min_features}"
    if features:
        largest = max(features, key=lambda feature: feature.psi)
        reason += f" (largest PSI {largest.psi:.2f} in {largest.feature})"
    return drifted, reason
