"""Compares a window with a reference, or with another window: counts in, figures and a verdict out.

Nothing here reads a database, so that the same comparison serves a check, the replay of a past and a
benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from evergreen.model.matrix import Columns
from evergreen.model.reference_profile import PREDICTION, FeatureProfile, SlicedProfiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.blind_spots import find_blind_spots
from evergreen.monitoring.drift.figures.count_pairs import build_count_pairs
from evergreen.monitoring.drift.figures.psi import BinCounts, classify_psi
from evergreen.monitoring.drift.figures.statistics import UNKNOWN, Statistics, compute_statistics
from evergreen.monitoring.drift.metric_rows import build_metric_rows
from evergreen.monitoring.drift.result import DriftResult
from evergreen.monitoring.drift.verdict import describe_warnings, judge_drift
from evergreen.store.predictions.counts import Counts
from evergreen.store.records.checks.drift import FeatureDrift
from evergreen.store.records.checks.drift_metric import SEVERITIES
from evergreen.usecase import DriftPolicy


def compare_windows(
    policy: DriftPolicy,
    reference: SlicedProfiles,
    current: Counts,
    *,
    check_number: int = 1,
    since: datetime | None = None,
    inputs: Sequence[str] = (),
) -> DriftResult:
    """Compare the counts of a window with a reference, slice by slice and feature by feature.

    `check_number` counts the checks of this stream that came to a verdict, this one included: the more there
    were, the surer a call must be. `since` is the moment after which the rows of the window were predicted,
    for the words of the verdict. Of `inputs`, the features that the model has now, those without a reference
    are noted; so are slices without one. Counts of features that the reference does not know are left out.

    Raises StoreError for counts over other bins than the reference's.
    """
    compared = [
        (slice_name, profile, counts[name])
        for slice_name, counts in current.items()
        for name, profile in reference.get(slice_name, {}).items()
        if name in counts
    ]
    pairs = build_count_pairs(compared)
    statistics = compute_statistics(policy, pairs, check_number)
    rows = {
        slice_name: max((int(each.sum()) for each in counts.values()), default=0)
        for slice_name, counts in current.items()
    }
    blind = find_blind_spots([profile for _, profile, _ in compared], pairs)
    whole = [
        _build_feature_drift(
            profile, counts, statistics, place, is_blind=(slice_name, profile.feature) in blind
        )
        for place, (slice_name, profile, counts) in enumerate(compared)
        if slice_name == ALL_ROWS
    ]
    features = sorted(
        (each for each in whole if each.feature != PREDICTION), key=lambda drift: (-drift.psi, drift.feature)
    )
    row_count = rows.get(ALL_ROWS, 0)
    new_inputs = _list_new_inputs(reference, inputs)
    drifted, reason = judge_drift(policy, features, row_count, since, len(new_inputs))
    return DriftResult(
        rows=row_count,
        drifted=drifted,
        reason=reason,
        features=tuple(features),
        prediction=next((each for each in whole if each.feature == PREDICTION), None),
        metrics=build_metric_rows(policy, pairs, statistics, rows, features, blind, drifted),
        warnings=describe_warnings(pairs, statistics, drifted=drifted),
        notes=(
            *_describe_missing_references(reference, current, new_inputs),
            *(note for note in blind.values() if note),
        ),
    )


def compare_counts(
    profile: FeatureProfile, current: npt.NDArray[np.int64], policy: DriftPolicy
) -> FeatureDrift:
    """Compare the rows of one feature, counted by the bins of its reference profile, with it, as the only
    comparison of a first check. Raises StoreError for counts over other bins."""
    pairs = build_count_pairs([(ALL_ROWS, profile, current)])
    return _build_feature_drift(profile, current, compute_statistics(policy, pairs, 1), 0)


def count_columns(
    profiles: Mapping[str, FeatureProfile], columns: Columns
) -> dict[str, npt.NDArray[np.int64]]:
    """The values of each profiled column, of shape (n,), counted by the bins of its profile; columns without
    a profile are left out."""
    return {name: profile.count(columns[name]) for name, profile in profiles.items() if name in columns}


def rebase_profiles(reference: SlicedProfiles, counts: Counts) -> dict[str, dict[str, FeatureProfile]]:
    """The bins of a reference with the counts of a window: the reference of a comparison of another window
    with that one. What was not counted is left out."""
    return {
        slice_name: {
            name: replace(profiles[name], counts=tuple(int(number) for number in each))
            for name, each in counts[slice_name].items()
            if name in profiles
        }
        for slice_name, profiles in reference.items()
        if slice_name in counts
    }


def _build_feature_drift(
    profile: FeatureProfile,
    current: BinCounts,
    statistics: Statistics,
    place: int,
    *,
    is_blind: bool = False,
) -> FeatureDrift:
    psi, p_value = float(statistics.psi[place]), float(statistics.p_value[place])
    severity = SEVERITIES[statistics.severity[place]]
    if is_blind and severity == "none":
        severity = "unknown"  # that nothing was seen means nothing
    return FeatureDrift(
        feature=profile.feature,
        psi=round(psi, 6),
        chance=round(float(statistics.chance[place]), 6),
        level=classify_psi(psi),
        drifted=severity == "drift",
        bins=tuple(profile.names()),
        reference=profile.counts,
        current=tuple(int(count) for count in current),
        severity=severity,
        p_value=None if statistics.severity[place] == UNKNOWN else p_value,
    )


def _list_new_inputs(reference: SlicedProfiles, inputs: Sequence[str]) -> list[str]:
    """The inputs that the reference of all rows does not know; none where there is no such reference."""
    profiles = reference.get(ALL_ROWS, {})
    return [name for name in inputs if profiles and name not in profiles]


def _describe_missing_references(
    reference: SlicedProfiles, current: Counts, new_inputs: Sequence[str]
) -> list[str]:
    notes = [f"{name} has no reference: it was declared after the model was trained" for name in new_inputs]
    return notes + [
        f"the slice {name} has no reference: it was declared after the model was trained"
        for name in current
        if name not in reference
    ]
