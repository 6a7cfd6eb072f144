from datetime import UTC, datetime

import numpy as np
import pytest

from evergreen.model.reference_profile import build_reference_profile
from evergreen.monitoring.drift import judge_drift, measure_feature_drift
from evergreen.usecase import DriftPolicy

SINCE = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def measured(toy_use_case, toy_columns):
    """A function that measures columns against the profile of 3,000 rows of the toy."""
    columns, label = toy_columns(3_000)
    reference = {p.feature: p for p in build_reference_profile(toy_use_case, columns, label)}

    def run(current):
        return measure_feature_drift(toy_use_case, reference, current)

    return run


def test_rows_like_the_reference_do_not_drift(measured, toy_columns):
    found = measured(toy_columns(500, seed=9)[0])
    assert len(found) == 6
    assert not any(feature.drifted for feature in found)
    assert max(feature.psi for feature in found) < 0.1


def test_shifted_inputs_drift_and_stand_first(measured, toy_columns):
    found = measured(toy_columns(500, seed=9, shift=2.0)[0])
    assert {feature.feature for feature in found[:2]} == {"visits", "spend"}
    assert found[0].drifted
    assert [feature.psi for feature in found] == sorted((feature.psi for feature in found), reverse=True)
    assert next(feature for feature in found if feature.feature == "age").drifted is False
    assert sum(found[0].current) == 500
    assert len(found[0].bins) == len(found[0].reference) == len(found[0].current)


def test_missing_values_and_new_categories_are_drift_too(measured, toy_columns):
    current, _ = toy_columns(500, seed=9)
    current["age"] = np.where(np.arange(500) % 2 == 0, np.nan, current["age"])
    current["mood"] = np.array(["furious"] * 500, dtype=object)
    drifted = {feature.feature for feature in measured(current) if feature.drifted}
    assert drifted == {"age", "mood"}


def test_a_handful_of_rows_does_not_drift_by_chance(measured, toy_columns):
    found = measured(toy_columns(15, seed=2)[0])
    assert max(feature.psi for feature in found) > 0.25
    assert not any(feature.drifted for feature in found)


def test_the_verdict_needs_enough_rows(measured, toy_columns):
    found = measured(toy_columns(500, seed=9, shift=2.0)[0])
    drifted, reason = judge_drift(DriftPolicy(min_rows=501), found, 500, SINCE)
    assert drifted is None
    assert reason == "no verdict: 500 of 501 predictions since 2026-07-01 00:00 UTC"


def test_the_verdict_needs_enough_features_and_names_the_greatest(measured, toy_columns):
    found = measured(toy_columns(500, seed=9, shift=2.0)[0])
    many = sum(feature.drifted for feature in found)
    drifted, reason = judge_drift(DriftPolicy(min_features=many), found, 500, SINCE)
    assert drifted is True
    assert reason == (f"{many} of 6 features drifted (largest PSI {found[0].psi:.2f} in {found[0].feature})")
    drifted, reason = judge_drift(DriftPolicy(min_features=many + 1), found, 500, SINCE)
    assert drifted is False
    assert f"and it takes {many + 1}" in reason
