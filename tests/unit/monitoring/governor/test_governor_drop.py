from dataclasses import replace

import numpy as np
import pytest

from evergreen.monitoring.governor.inputs import RealisedEvidence
from evergreen.monitoring.governor.quality_drop import measure_quality_drop
from evergreen.usecase import RetrainPolicy
from support.governor_inputs import DAY, NOW, build_realised

POLICY = RetrainPolicy(min_drop=0.02, drop_limit=6.0)


def test_the_sum_is_pages_in_deviations_of_a_point():
    drop = measure_quality_drop(POLICY, build_realised(0.75, 0.70, rows=400))
    # Deviation of a mean of 400 rows: 0.4 / 20. Beyond half of the smallest drop: 0.04 and 0.09.
    assert drop.statistic == pytest.approx((0.04 + 0.09) / 0.02)
    assert drop.drop == pytest.approx(0.075)
    assert (drop.rows, drop.since) == (800, NOW - 2 * DAY)


def test_good_days_end_a_drop_and_it_begins_anew():
    drop = measure_quality_drop(POLICY, build_realised(0.75, 0.90, 0.75, rows=400))
    assert drop.statistic == pytest.approx(2.0)
    assert (drop.rows, drop.since) == (400, NOW - DAY)
    assert measure_quality_drop(POLICY, build_realised(0.75, 0.90)).since is None


def test_a_loss_is_worse_when_it_is_greater():
    loss = replace(build_realised(0.85), less_is_better=True)
    assert measure_quality_drop(POLICY, loss).drop == pytest.approx(0.05)
    assert measure_quality_drop(POLICY, replace(loss, less_is_better=False)).since is None


def test_rows_that_are_merely_harder_are_no_drop():
    harder = build_realised(0.7, 0.7, expected=0.7)
    harder = replace(harder, reference=replace(harder.reference, expected=0.8))
    assert measure_quality_drop(POLICY, harder).since is None
    any_drop = RetrainPolicy(min_drop=0.0)
    assert measure_quality_drop(any_drop, build_realised(0.8, 0.8, expected=0.9)).drop == pytest.approx(
        # The hold-out was 0.1 below its expectation too, of which most is believed: g - s²/g.
        0.4**2 / 2_000 / 0.1
    )


def test_a_model_that_is_too_sure_of_itself_is_not_taken_for_a_stale_one():
    stationary = build_realised(*[0.80] * 60, expected=0.95)
    assert measure_quality_drop(RetrainPolicy(min_drop=0.05), stationary).since is None
    trusting = replace(stationary, reference=replace(stationary.reference, expected=0.80))
    assert measure_quality_drop(RetrainPolicy(min_drop=0.05), trusting).statistic > 100


def test_days_without_rows_or_value_are_skipped():
    realised = build_realised(0.70, 0.75)
    points = (
        replace(realised.points[0], rows=0),
        replace(realised.points[0], value=float("nan")),
        realised.points[1],
    )
    alone = replace(realised, points=realised.points[1:])
    assert measure_quality_drop(POLICY, replace(realised, points=points)) == measure_quality_drop(
        POLICY, alone
    )


def test_without_a_hold_out_the_first_day_is_the_reference():
    alone = replace(build_realised(0.75, 0.70), reference=None)
    assert measure_quality_drop(POLICY, alone).drop == pytest.approx(0.05)
    expecting = replace(build_realised(0.75, 0.70, expected=0.75), reference=None)
    assert measure_quality_drop(POLICY, expecting).drop == pytest.approx(0.05)
    assert measure_quality_drop(POLICY, replace(alone, points=())).since is None


def test_a_quiet_quarter_is_mostly_left_alone_and_a_drop_of_five_hundredths_called_soon():
    policy, rng = RetrainPolicy(), np.random.default_rng(7)
    means = 0.8 + rng.normal(0, 0.4 / np.sqrt(300), size=(200, 90))
    quiet = sum(_find_call(policy, days) is not None for days in means)
    assert quiet <= 0.4 * len(means)
    calls = [_find_call(policy, days - 0.05) for days in means]
    assert None not in calls
    assert np.median(calls) <= 5


def _find_call(policy: RetrainPolicy, days: np.ndarray) -> int | None:
    """The first day on which the sum is beyond the limit."""
    evidence = build_realised(*days, expected=0.8)
    for number in range(1, len(days) + 1):
        sofar = replace(evidence, points=evidence.points[:number])
        if measure_quality_drop(policy, sofar).statistic > policy.drop_limit:
            return number
    return None


def build_faultless(*values: float) -> RealisedEvidence:
    """The realised accuracy of a champion without a fault on its hold-out, whose answers of a day are all
    right or all wrong."""
    realised = build_realised(*values)
    assert realised.reference is not None
    return replace(
        realised,
        reference=replace(realised.reference, value=1.0, deviation=0.0),
        points=tuple(replace(point, deviation=0.0) for point in realised.points),
    )


def test_a_champion_without_a_fault_has_no_drop_until_it_has_one():
    any_drop = RetrainPolicy(min_drop=0.0)
    assert measure_quality_drop(any_drop, build_faultless(1.0, 1.0)).statistic == 0.0
    drop = measure_quality_drop(any_drop, build_faultless(1.0, 0.9))
    assert drop.statistic > any_drop.drop_limit
    assert drop.rows == 300
    recovered = measure_quality_drop(POLICY, build_faultless(0.0, 1.0, 1.0, 0.0))
    assert recovered.statistic > POLICY.drop_limit
