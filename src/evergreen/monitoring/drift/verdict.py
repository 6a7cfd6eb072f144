"""The verdict of a comparison, and its warnings, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from evergreen.model.reference_profile import PREDICTION
from evergreen.monitoring.drift.figures.count_pairs import CountPairs
from evergreen.monitoring.drift.figures.statistics import DRIFT, WARNING, Statistics
from evergreen.store.records.checks.drift import FeatureDrift
from evergreen.usecase import DriftPolicy


def judge_drift(
    policy: DriftPolicy,
    features: Sequence[FeatureDrift],
    rows: int,
    since: datetime | None,
    without_reference: int = 0,
) -> tuple[bool | None, str]:
    """Whether the features of `rows` predictions since a moment have drifted, and the reason in words. None
    where there are fewer predictions than the policy asks for, and where no feature can be compared.

    `without_reference` is the number of inputs that are not among `features` because the reference does not
    know them: they are counted with those of which nothing can be told.
    """
    if rows < policy.min_rows:
        reason = f"no verdict: {rows:,} of {policy.min_rows:,} predictions"
        return None, reason + (f" since {since:%Y-%m-%d %H:%M} UTC" if since else "")
    count = sum(feature.drifted for feature in features)
    total = len(features) + without_reference
    drifted = count >= policy.min_features
    reason = f"{count} of {total} features drifted"
    if count and not drifted:
        reason += f" and it takes {policy.min_features}"
    blind_count = without_reference + sum(feature.severity == "unknown" for feature in features)
    if blind_count == total:
        return None, f"no verdict: of {total} features none can be compared with the reference"
    if blind_count:
        reason += f", {blind_count} cannot be told"
    if features:
        largest = max(features, key=lambda feature: feature.psi)
        reason += f" (largest PSI {largest.psi:.2f} in {largest.feature})"
    return drifted, reason


def describe_warnings(pairs: CountPairs, statistics: Statistics, *, drifted: bool | None) -> tuple[str, ...]:
    """What is a warning, in words, the greatest PSI first: inputs at the limits of a warning, and the answers
    and the features of slices from there on. Inputs that have drifted over all rows are among them only where
    the window has not `drifted`, because there are too few of them."""
    severities = statistics.severity
    order = sorted(
        (place for place in range(len(pairs)) if severities[place] in (WARNING, DRIFT)),
        key=lambda place: (-statistics.psi[place], pairs.keys[place]),
    )
    words = []
    for place in order:
        slice_name, feature = pairs.keys[place]
        decides = not slice_name and feature != PREDICTION and severities[place] == DRIFT
        if drifted and decides:
            continue
        name = "the predictions" if feature == PREDICTION else feature
        where = f"{slice_name}: " if slice_name else ""
        words.append(f"{where}{name} ({_describe_change(statistics, place)})")
    return tuple(words)


def _describe_change(statistics: Statistics, place: int) -> str:
    changes = []
    if statistics.psi_severity[place] >= WARNING:
        changes.append(f"PSI {statistics.psi[place]:.2f}")
    if statistics.missing_severity[place] >= WARNING:
        changes.append(f"missing values {statistics.missing_change[place]:+.1%}")
    if statistics.unseen_severity[place] >= WARNING:
        changes.append(f"unknown names {statistics.unseen_share[place]:+.1%}")
    return ", ".join(changes)
