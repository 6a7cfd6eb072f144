"""The drift of requests of the past, by the same comparison as a drift check of the prediction log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from evergreen.model.matrix import Columns
from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.drift import judge_drift, measure_feature_drift
from evergreen.monitoring.governor.inputs import DriftEvidence
from evergreen.usecase import UseCase


def measure_past_drift(
    use_case: UseCase,
    profile: Mapping[str, FeatureProfile],
    columns: Columns,
    start: datetime,
    check_number: int,
) -> DriftEvidence:
    """The drift of requests since `start` against a model's profile, of the n-th check of that model."""
    rows = len(next(iter(columns.values())))
    features = measure_feature_drift(use_case, profile, columns) if rows else []
    drifted, reason = judge_drift(use_case.drift, features, rows, start)
    return DriftEvidence("unknown" if drifted is None else "drift" if drifted else "none", reason, rows)
