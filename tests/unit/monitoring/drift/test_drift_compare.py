"""A window of the toy's rows against the profile of others, by counts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from evergreen.errors import StoreError
from evergreen.model.reference_profile import PREDICTION, FeatureProfile, build_reference_profile
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.compare import (
    compare_counts,
    compare_windows,
    count_columns,
    rebase_profiles,
)
from evergreen.store.records.checks.drift_evidence import join_warnings
from evergreen.usecase import DriftPolicy

SINCE = datetime(2026, 7, 1, tzinfo=UTC)
POLICY = DriftPolicy(psi_threshold=0.25, min_features=2, min_rows=100)


def numbers(name, *counts):
    """A profile of a number with as many bins as there are counts, less that of missing values."""
    return FeatureProfile(name, "numeric", tuple(float(edge) for edge in range(len(counts) - 2)), counts)


def names(name, *counts):
    return FeatureProfile(name, "category", tuple("abcdefgh"[: len(counts) - 2]), counts)


def compare(policy, profiles, counts, **more):
    """All rows of one window against profiles."""
    reference = {ALL_ROWS: {profile.feature: profile for profile in profiles}}
    window = {name: np.array(each, dtype=np.int64) for name, each in counts.items()}
    return compare_windows(policy, reference, {ALL_ROWS: window}, **more)


@pytest.fixture
def reference(toy_use_case, toy_columns):
    """The profile of 3,000 rows of the toy."""
    columns, label = toy_columns(3_000)
    return {each.feature: each for each in build_reference_profile(toy_use_case, columns, label)}


@pytest.fixture
def measured(reference):
    """A function that compares columns with it."""

    def run(columns, policy=POLICY, **more):
        counts = count_columns(reference, columns)
        return compare_windows(policy, {ALL_ROWS: reference}, {ALL_ROWS: counts}, **more)

    return run


def test_rows_like_the_reference_do_not_drift(measured, toy_columns):
    found = measured(toy_columns(500, seed=9)[0])
    assert len(found.features) == 6
    assert (found.rows, found.drifted, found.severity) == (500, False, "none")
    assert max(feature.psi for feature in found.features) < 0.1
    assert (found.warnings, found.notes, found.prediction) == ((), (), None)


def test_shifted_inputs_drift_and_stand_first(measured, toy_columns):
    found = measured(toy_columns(500, seed=9, shift=2.0)[0]).features
    assert {feature.feature for feature in found[:2]} == {"visits", "spend"}
    assert found[0].drifted
    assert found[0].p_value < 1e-6
    assert [feature.psi for feature in found] == sorted((feature.psi for feature in found), reverse=True)
    assert next(feature for feature in found if feature.feature == "age").drifted is False
    assert sum(found[0].current) == 500
    assert len(found[0].bins) == len(found[0].reference) == len(found[0].current)


def test_missing_values_and_new_categories_are_drift_too(measured, toy_columns):
    current, _ = toy_columns(500, seed=9)
    current["age"] = np.where(np.arange(500) % 2 == 0, np.nan, current["age"])
    current["mood"] = np.array(["furious"] * 500, dtype=object)
    found = measured(current)
    assert {feature.feature for feature in found.features if feature.drifted} == {"age", "mood"}
    by_key = {(each.feature, each.metric): each for each in found.metrics}
    assert by_key["age", "missing_change"].severity == "drift"
    assert by_key["age", "missing_change"].value == pytest.approx(0.5, abs=0.05)
    assert by_key["mood", "unseen_share"].value == pytest.approx(1.0)
    assert by_key["mood", "unseen_share"].severity == "drift"


def test_a_handful_of_rows_does_not_drift_by_chance(measured, toy_columns):
    found = measured(toy_columns(15, seed=2)[0], DriftPolicy(min_rows=15))
    assert max(feature.psi for feature in found.features) > 0.25
    assert not any(feature.drifted for feature in found.features)


def test_the_verdict_needs_enough_rows(measured, toy_columns):
    columns, _ = toy_columns(500, seed=9, shift=2.0)
    found = measured(columns, DriftPolicy(min_rows=501), since=SINCE)
    assert (found.drifted, found.severity) == (None, "unknown")
    assert found.reason == "no verdict: 500 of 501 predictions since 2026-07-01 00:00 UTC"
    assert {feature.severity for feature in found.features} == {"unknown"}
    assert {feature.p_value for feature in found.features} == {None}
    assert found.features[0].psi > 0.25  # measured all the same
    assert measured(columns, DriftPolicy(min_rows=500)).drifted is True


def test_the_verdict_needs_enough_features_and_names_the_greatest(measured, toy_columns):
    columns, _ = toy_columns(500, seed=9, shift=2.0)
    many = sum(feature.drifted for feature in measured(columns).features)
    found = measured(columns, DriftPolicy(psi_threshold=0.25, min_features=many))
    assert found.drifted is True
    largest = found.features[0]
    assert (
        found.reason == f"{many} of 6 features drifted (largest PSI {largest.psi:.2f} in {largest.feature})"
    )
    found = measured(columns, DriftPolicy(psi_threshold=0.25, min_features=many + 1))
    assert (found.drifted, found.severity, len(found.warnings)) == (False, "warning", many)
    assert f"and it takes {many + 1}" in found.reason


# 20,000 rows of reference against 10,000: PSI ln(1.5)/10 + ... is about 0.0811 for 0.4 against 0.6.
HALVES = names("half", 10_000, 10_000, 0, 0)


def of_half(share, rows=10_000):
    return [round(rows * share), rows - round(rows * share), 0, 0]


def test_the_limits_of_psi_are_met_at_their_value():
    psi = compare(DriftPolicy(), [HALVES], {"half": of_half(0.4)}).features[0].psi

    def severity(threshold, **more):
        policy = DriftPolicy(psi_threshold=threshold, **more)
        return compare(policy, [HALVES], {"half": of_half(0.4)}).features[0].severity

    assert severity(psi * 0.9999) == "drift"
    assert severity(psi * 1.0001) == "warning"
    assert severity(psi * 1.9999) == "warning"
    assert severity(psi * 2.0001) == "none"
    assert severity(psi * 1.2, warning_share=1.0) == "none"


@pytest.mark.parametrize(
    ("missing", "severity"),
    [(1_000, "drift"), (999, "warning"), (500, "warning"), (499, "none"), (0, "none")],
)
def test_the_limits_of_missing_values_are_met_at_their_value(missing, severity):
    profile = numbers("age", 5_000, 5_000, 0)
    kept = 10_000 - missing
    policy = DriftPolicy(psi_threshold=50)  # the change of the missing share alone is looked at
    found = compare(policy, [profile], {"age": [kept // 2, kept - kept // 2, missing]})
    assert found.features[0].severity == severity
    by_metric = {each.metric: each for each in found.metrics if each.feature == "age"}
    assert by_metric["missing_change"].severity == severity
    assert by_metric["missing_change"].limit == 0.1


def test_fewer_missing_values_are_a_change_as_well():
    found = compare(
        DriftPolicy(psi_threshold=50), [numbers("age", 500, 500, 9_000)], {"age": [5000, 5000, 0]}
    )
    assert found.drifted is True
    assert found.warnings == ()


def test_fewer_unknown_names_are_none():
    policy = DriftPolicy(psi_threshold=50)
    assert compare(policy, [names("mood", 5_000, 5_000, 0)], {"mood": [10_000, 0, 0]}).drifted is False
    assert compare(policy, [names("mood", 5_000, 5_000, 0)], {"mood": [4_000, 6_000, 0]}).drifted is True


def test_significance_alone_is_no_drift_and_neither_is_size_alone():
    tiny = compare(
        DriftPolicy(), [names("half", 500_000, 500_000, 0, 0)], {"half": of_half(0.495, 1_000_000)}
    )
    assert tiny.features[0].p_value < 1e-9
    assert (tiny.drifted, tiny.warnings) == (False, ())
    few = compare(DriftPolicy(min_rows=10), [HALVES], {"half": of_half(0.3, 10)})
    assert few.features[0].psi > 0.05
    assert (few.drifted, few.warnings) == (False, ())


def test_later_checks_must_be_surer():
    # p of a first check is about 0.0017: below 0.01 / (1 * 2), above 0.01 / (2 * 3) once it is corrected.
    counts = {"half": of_half(0.4, 250)}
    policy = DriftPolicy(min_rows=100, psi_threshold=0.03)
    first = compare(policy, [HALVES], counts)
    assert 0.01 / 6 < first.features[0].p_value < 0.01 / 2
    assert first.drifted is True
    second = compare(policy, [HALVES], counts, check_number=2)
    assert (second.drifted, second.severity) == (False, "warning")
    assert compare(replace(policy, alpha=0.05), [HALVES], counts, check_number=2).drifted is True


def test_a_change_of_the_answers_is_a_warning_and_no_feature():
    profiles = [HALVES, names(PREDICTION, 10_000, 10_000, 0, 0)]
    found = compare(DriftPolicy(), profiles, {"half": of_half(0.5), PREDICTION: of_half(0.2)})
    assert (found.drifted, found.severity) == (False, "warning")
    assert found.reason == "0 of 1 features drifted (largest PSI 0.00 in half)"
    assert found.warnings == (f"the predictions (PSI {found.prediction.psi:.2f})",)
    assert found.prediction.severity == "drift"
    assert [feature.feature for feature in found.features] == ["half"]


def test_drift_of_a_slice_is_a_warning():
    reference = {ALL_ROWS: {"half": HALVES}, "age=<30": {"half": HALVES}, "age=30+": {"half": HALVES}}
    window = {
        ALL_ROWS: {"half": np.array(of_half(0.5))},
        "age=<30": {"half": np.array(of_half(0.2, 900))},
        "age=30+": {"half": np.array(of_half(0.2, 499))},
    }
    found = compare_windows(DriftPolicy(), reference, window)
    assert (found.drifted, found.severity, found.notes) == (False, "warning", ())
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("age=<30: half (PSI 0.")
    severities = {each.slice: each.severity for each in found.metrics if each.metric == "psi"}
    assert severities == {ALL_ROWS: "none", "age=<30": "drift", "age=30+": "unknown"}
    rows = {each.slice: (each.value, each.severity) for each in found.metrics if each.metric == "rows"}
    assert rows == {ALL_ROWS: (10_000, "none"), "age=<30": (900, "none"), "age=30+": (499, "unknown")}


def test_two_windows_are_compared_with_each_other(reference, toy_columns):
    def window(seed, shift):
        return {ALL_ROWS: count_columns(reference, toy_columns(2_000, seed=seed, shift=shift)[0])}

    moved = rebase_profiles({ALL_ROWS: reference}, window(3, 2.0))
    assert compare_windows(POLICY, moved, window(4, 2.0)).drifted is False
    assert compare_windows(POLICY, moved, window(5, 0.0)).drifted is True
    assert PREDICTION not in moved[ALL_ROWS]


def test_an_empty_window_is_unknown():
    for counts in ({}, {"half": [0, 0, 0, 0]}):
        found = compare(DriftPolicy(), [HALVES], counts, since=SINCE)
        assert (found.rows, found.drifted, found.severity) == (0, None, "unknown")
        assert found.reason == "no verdict: 0 of 500 predictions since 2026-07-01 00:00 UTC"


def test_features_and_slices_without_a_reference_are_noted():
    found = compare_windows(
        DriftPolicy(),
        {ALL_ROWS: {"half": HALVES}},
        {ALL_ROWS: {"half": np.array(of_half(0.5)), "new": np.array([5, 5])}, "age=<30": {}},
        inputs=("half", "new"),
    )
    assert found.notes == (
        "new has no reference: it was declared after the model was trained",
        "the slice age=<30 has no reference: it was declared after the model was trained",
    )
    assert [feature.feature for feature in found.features] == ["half"]


def test_what_a_single_bin_cannot_show_is_noted():
    former = FeatureProfile("flat", "numeric", (), (10_000, 0))
    rare = FeatureProfile("city", "category", (), (10_000, 0))
    empty = FeatureProfile("gone", "numeric", (), (0, 10_000))
    counts = {"flat": [1_000, 0], "city": [1_000, 0], "gone": [1_000, 0]}
    found = compare(DriftPolicy(), [former, rare, empty], counts)
    assert found.notes == (
        "flat was constant in the reference, whose profile has a single bin for it: only a change of its "
        "missing values can be seen",
        "city has no value that was frequent enough in the reference for a bin of its own: only a change of "
        "its missing values can be seen",
    )
    severities = {each.feature: each.severity for each in found.metrics if each.metric == "psi"}
    assert severities == {"flat": "unknown", "city": "unknown", "gone": "drift"}
    assert found.drifted is True  # all values of `gone` were missing, and none is now
    assert {each.feature: each.severity for each in found.features} == severities
    assert "1 of 3 features drifted, 2 cannot be told" in found.reason
    shares = {each.feature: each.severity for each in found.metrics if each.metric == "unseen_share"}
    assert shares == {"city": "unknown"}


def test_where_no_feature_can_be_compared_there_is_no_verdict():
    """Such as a column of 100,000 names of which none is frequent: that all are new cannot be seen."""
    rare = FeatureProfile("city", "category", (), (100_000, 0))
    found = compare(DriftPolicy(), [rare], {"city": [100_000, 0]})
    assert (found.drifted, found.severity) == (None, "unknown")
    assert found.reason == "no verdict: of 1 features none can be compared with the reference"


def test_counts_by_other_bins_are_refused():
    with pytest.raises(StoreError, match="half is counted in 3 bins, and its reference has 4"):
        compare(DriftPolicy(), [HALVES], {"half": [1, 2, 3]})


def test_a_constant_column_shows_other_values(toy_use_case, toy_columns):
    columns, label = toy_columns(2_000)
    columns["age"] = np.full(2_000, 40.0)
    profile = next(
        each for each in build_reference_profile(toy_use_case, columns, label) if each.feature == "age"
    )
    assert profile.counts == (0, 2_000, 0, 0)
    assert profile.names() == ["< 40", "40", "> 40", "(missing)"]
    same = compare_counts(profile, profile.count(np.full(600, 40.0)), DriftPolicy())
    assert (same.psi, same.severity) == (pytest.approx(0, abs=0.01), "none")
    other = compare_counts(profile, profile.count(np.full(600, 40.5)), DriftPolicy())
    assert other.severity == "drift"


def test_extremes_are_counted_like_other_values(measured, toy_columns):
    columns, _ = toy_columns(1_000, seed=4)
    columns["age"] = np.concatenate([[1e308, -1e308, np.inf, -np.inf], columns["age"][4:]])
    columns["mood"] = np.array([f"mood {number}" for number in range(1_000)], dtype=object)
    found = measured(columns)
    by_name = {feature.feature: feature for feature in found.features}
    assert by_name["age"].severity == "none"
    assert by_name["mood"].severity == "drift"
    columns["age"] = np.full(1_000, np.nan)
    by_name = {feature.feature: feature for feature in measured(columns).features}
    assert by_name["age"].severity == "drift"


def test_warnings_are_joined_and_the_rest_is_counted():
    assert join_warnings(()) == ""
    assert join_warnings(("a", "b")) == "; warning: a, b"
    assert join_warnings(("a", "b", "c", "d", "e")) == "; warning: a, b, c, and 2 more"


@pytest.mark.parametrize(
    ("rows", "share", "verdict", "enough"),
    [(500, 0.5, "none", "none"), (500, 0.2, "drift", "none"), (499, 0.2, "unknown", "unknown")],
)
def test_the_verdict_and_the_rows_are_figures_as_well(rows, share, verdict, enough):
    found = compare(DriftPolicy(min_rows=500), [HALVES], {"half": of_half(share, rows)})
    by_metric = {each.metric: each for each in found.metrics if not each.feature}
    assert by_metric["drifted_features"].severity == found.severity == verdict
    assert by_metric["drifted_features"].value == (verdict == "drift")
    assert (by_metric["rows"].value, by_metric["rows"].severity) == (rows, enough)
