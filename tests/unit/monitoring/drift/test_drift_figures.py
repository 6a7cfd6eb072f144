"""p-values and distances over bins, beside what others compute on the same counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.drift.figures.correction import adjust_p_values, compute_check_level
from evergreen.monitoring.drift.figures.count_pairs import build_count_pairs
from evergreen.monitoring.drift.figures.distances import compute_js_distances, compute_missing_changes
from evergreen.monitoring.drift.figures.psi import (
    compute_chance_psi,
    compute_chance_psis,
    compute_psi,
    compute_psis,
)
from evergreen.monitoring.drift.figures.significance import compute_bin_test, compute_g_test, compute_ks_test

counts = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), min_size=3, max_size=12)


def pair(before, now, kind="numeric", name="x"):
    bins = tuple(range(len(before) - 2)) if kind == "numeric" else tuple("abcdefghijkl"[: len(before) - 2])
    return build_count_pairs([("", FeatureProfile(name, kind, bins, tuple(before)), now)])


def test_the_g_test_is_that_of_a_contingency_table():
    before, now = [400, 300, 200, 100], [350, 330, 180, 140]
    expected = stats.chi2_contingency([before, now], correction=False, lambda_="log-likelihood").pvalue
    assert compute_g_test(pair(before, now))[0] == pytest.approx(expected, rel=1e-9)


def test_sparse_bins_are_tested_as_one():
    # 2 + 1 and 1 + 1 rows: fewer than five are expected in each of the two, and in both together.
    before, now = [500, 400, 2, 1], [480, 420, 1, 1]
    expected = stats.chi2_contingency(
        [[500, 400, 3], [480, 420, 2]], correction=False, lambda_="log-likelihood"
    ).pvalue
    assert compute_g_test(pair(before, now))[0] == pytest.approx(expected, rel=1e-9)


def test_ks_on_bins_is_that_of_values_at_the_edges_without_missing_ones():
    before, now = [400, 300, 200, 77], [350, 330, 120, 5]
    distance = max(abs(400 / 900 - 350 / 800), abs(700 / 900 - 680 / 800))
    expected = stats.kstwobign.sf(distance * np.sqrt(900 * 800 / 1700))
    assert compute_ks_test(pair(before, now))[0] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(compute_ks_test(pair(before, now, "category"))[0])


def test_the_test_of_one_bin_is_a_corrected_two_by_two_table():
    before, now = [600, 300, 100], [500, 300, 200]
    pairs = pair(before, now)
    expected = stats.chi2_contingency(
        [[100, 900], [200, 800]], correction=True, lambda_="log-likelihood"
    ).pvalue
    assert compute_bin_test(pairs, pairs.missing)[0] == pytest.approx(expected, rel=1e-9)
    assert np.isnan(compute_bin_test(pairs, pairs.other)[0])


def test_the_distance_is_scipys():
    before, now = [400, 300, 0, 100], [350, 0, 180, 140]
    found = compute_js_distances(np.array([before], float), np.array([now], float))[0]
    assert found == pytest.approx(jensenshannon(before, now, base=2))
    assert compute_missing_changes(pair(before, now))[0] == pytest.approx(140 / 670 - 0.125)


@given(counts)
def test_figures_are_finite_and_in_their_range(columns):
    before, now = zip(*columns, strict=True)
    pairs = pair(before, now)
    for p_values in (compute_g_test(pairs), compute_ks_test(pairs), compute_bin_test(pairs, pairs.missing)):
        assert 0 <= p_values[0] <= 1
    assert 0 <= compute_js_distances(pairs.before, pairs.now)[0] <= 1
    assert -1 <= compute_missing_changes(pairs)[0] <= 1


@given(counts)
def test_many_comparisons_at_once_are_each_by_itself(columns):
    before, now = zip(*columns, strict=True)
    profile = FeatureProfile("x", "numeric", tuple(range(len(before) - 2)), before)
    wide = FeatureProfile("y", "category", tuple("abcdefghijklmnopqrst"), tuple(range(22)))
    both = build_count_pairs([("", wide, range(22, 0, -1)), ("a", profile, now)])
    alone = pair(before, now)
    for figure in (compute_g_test, compute_ks_test, compute_missing_changes):
        assert figure(both)[1] == pytest.approx(figure(alone)[0], rel=1e-9, abs=1e-300)
    assert compute_psis(both.before, both.now)[1] == pytest.approx(compute_psi(before, now))
    assert compute_chance_psis(both.before, both.now)[1] == pytest.approx(compute_chance_psi(before, now))


def test_without_rows_nothing_is_significant():
    for before, now in (([0, 0, 0], [5, 5, 5]), ([5, 5, 5], [0, 0, 0]), ([0, 0, 0], [0, 0, 0])):
        pairs = pair(before, now)
        assert compute_g_test(pairs)[0] == compute_ks_test(pairs)[0] == 1
        assert compute_bin_test(pairs, pairs.missing)[0] == 1
        assert compute_js_distances(pairs.before, pairs.now)[0] == 0


def test_p_values_of_equal_windows_are_seldom_small():
    """At a level of 1 in 1,000, as many as that and not half as many again, for bins of very unequal size."""
    rng = np.random.default_rng(5)
    shares = np.array([0.6, 0.25, 0.1, 0.04, 0.006, 0.003, 0.001])
    rounds = 20_000
    before, now = rng.multinomial(3_000, shares, rounds), rng.multinomial(700, shares, rounds)
    profiles = [FeatureProfile("x", "numeric", (1, 2, 3, 4, 5), tuple(each)) for each in before.tolist()]
    pairs = build_count_pairs([("", *each) for each in zip(profiles, now, strict=True)])
    for p_values in (compute_g_test(pairs), compute_ks_test(pairs), compute_bin_test(pairs, pairs.missing)):
        assert np.mean(p_values <= 0.001) <= 0.0018
        assert np.mean(p_values <= 0.05) <= 0.06
    assert np.mean(compute_g_test(pairs) <= 0.05) >= 0.03


def test_holm_by_hand():
    found = adjust_p_values(np.array([[0.01, 0.04], [np.nan, 0.03]]))
    assert found[0] == pytest.approx([0.03, 0.06])
    assert np.isnan(found[1, 0])
    assert found[1, 1] == pytest.approx(0.06)
    assert adjust_p_values(np.array([0.6, 0.9])) == pytest.approx([1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_are_greater_and_keep_the_order(p_values):
    plain = np.array(p_values)
    adjusted = adjust_p_values(plain)
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(1, plain * len(plain)) + 1e-12).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_all_checks_together_spend_no_more_than_alpha():
    assert compute_check_level(0.01, 1) == 0.005
    total = sum(compute_check_level(0.01, number) for number in range(1, 10_001))
    assert total == pytest.approx(0.01, rel=2e-4)
    assert total < 0.01
