"""Declarations that could not work later are refused when they are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import DriftPolicy, DType, Entity, Feature, Key, UseCase


def wide(use_case: UseCase, **counts: int) -> UseCase:
    """`use_case` with a text key and that many features of each type."""
    kinds: dict[str, DType] = {"numbers": "float", "categories": "category", "texts": "text"}
    features = [
        Feature(f"{kind}_{number}", kinds[kind], "")
        for kind, count in counts.items()
        for number in range(count)
    ]
    return replace(
        use_case,
        entity=Entity("pair", (Key("one", "text", ""),)),
        views=(replace(use_case.views[0], features=tuple(features)),),
        on_demand=(),
    )


def test_a_timed_view_needs_a_timed_label(toy_use_case: UseCase) -> None:
    with pytest.raises(UseCaseError, match="timed view 'facts'"):
        replace(toy_use_case, label=replace(toy_use_case.label, event_time=None))


def test_drift_cannot_need_more_features_than_the_model_has(toy_use_case: UseCase) -> None:
    assert len(toy_use_case.model_features) == 6
    replace(toy_use_case, drift=DriftPolicy(min_features=6))
    with pytest.raises(UseCaseError, match="drift in 7 features at least, but its model has 6"):
        replace(toy_use_case, drift=DriftPolicy(min_features=7))


@pytest.mark.parametrize(
    "counts", [{"categories": 62}, {"numbers": 1000}, {"numbers": 1, "texts": 380}, {"numbers": 980}]
)
def test_more_than_a_row_holds_is_refused(toy_use_case: UseCase, counts: dict[str, int]) -> None:
    with pytest.raises(UseCaseError, match="more features than a row of MariaDB holds"):
        wide(toy_use_case, **counts)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"alpha": 0.0}, r"alpha=0.0\) is no share"),
        ({"alpha": 1.5}, r"alpha=1.5\) is no share"),
        ({"warning_share": 0}, "is no share"),
        ({"missing_threshold": -0.1}, "is no share"),
        ({"unseen_threshold": 2}, "is no share"),
        ({"refused_threshold": 0}, "is no share"),
        ({"psi_threshold": 0}, "calls every window drift"),
        ({"auc_threshold": 0.5}, "is no limit"),
        ({"auc_threshold": 1.1}, "is no limit"),
        ({"min_features": 0}, "is too small"),
        ({"min_rows": 0}, "is too small"),
        ({"bins": 1}, "is too small"),
        ({"sample_rows": -1}, "is too small"),
        ({"window": timedelta(0)}, "is no period"),
    ],
)
def test_limits_of_drift_that_mean_nothing_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UseCaseError, match=message) as refused:
        DriftPolicy(**limits)
    assert refused.value.hint.startswith("declare ")


def test_the_ends_of_what_drift_may_declare() -> None:
    ends = {"warning_share": 1.0, "missing_threshold": 1.0, "unseen_threshold": 1.0, "refused_threshold": 1.0}
    policy = DriftPolicy(
        alpha=1.0, auc_threshold=1.0, min_features=1, min_rows=1, bins=2, sample_rows=0, **ends
    )
    assert policy.sample_rows == 0
