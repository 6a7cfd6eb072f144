"""How the benchmark of backtests compares our policy with fixed intervals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.monitor.stage_backtest import compare_with_fixed


def build_result(ours: tuple[float, int], less_is_better: bool = False, **fixed: tuple[float, int]) -> Any:
    policies = [SimpleNamespace(name="declared", kind="declared", value=ours[0], retrains=ours[1])]
    policies += [
        SimpleNamespace(name=name, kind=name if name in ("never", "daily") else "fixed", value=v, retrains=n)
        for name, (v, n) in fixed.items()
    ]
    found = {policy.name: policy for policy in policies}
    return SimpleNamespace(policies=policies, find_policy=found.get, less_is_better=less_is_better)


@pytest.mark.parametrize(
    ("ours", "ratio"),
    [
        # The weekly one is the cheapest that is as good.
        ((0.85, 10), 5.2),
        # None is as good: daily stands for them.
        ((0.95, 10), 36.5),
        # Never is as good already: ours retrained for nothing.
        ((0.70, 10), 0.0),
        ((0.70, 0), 1.0),
        ((0.85, 0), 53.0),
    ],
)
def test_the_cheapest_fixed_interval_that_is_as_good_counts(ours: tuple[float, int], ratio: float) -> None:
    result = build_result(ours, never=(0.7, 0), monthly=(0.8, 12), weekly=(0.86, 52), daily=(0.9, 365))
    assert compare_with_fixed(result) == ratio


def test_less_may_be_better() -> None:
    result = build_result((0.2, 10), less_is_better=True, never=(0.9, 0), weekly=(0.1, 52), daily=(0.05, 365))
    assert compare_with_fixed(result) == 5.2
