"""The drift of requests of the past, by the same comparison as a drift check of the prediction log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from evergreen.model.matrix import Columns
from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.compare import compare_windows, count_columns
from evergreen.monitoring.governor.inputs import DriftEvidence
from evergreen.usecase import UseCase


def measure_past_drift(
    use_case: UseCase,
    profile: Mapping[str, FeatureProfile],
    columns: Columns,
    start: datetime,
    check_number: int,
) -> DriftEvidence:
    """The drift of requests since `start` against a model's profile, at the n-th check of that model.

    `columns` are the model's inputs and, under the name of the profile of predictions, its answers.
    """
    counts = {ALL_ROWS: count_columns(profile, columns)}
    result = compare_windows(
        use_case.drift, {ALL_ROWS: profile}, counts, check_number=check_number, since=start
    )
    return DriftEvidence(result.severity, result.reason, result.rows)
