"""Declarations that could not work later are refused when they are made."""

from __future__ import annotations

from dataclasses import replace

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
