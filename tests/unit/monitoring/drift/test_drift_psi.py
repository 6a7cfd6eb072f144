import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.monitoring.drift.figures.psi import classify_psi, compute_chance_psi, compute_psi

counts = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


def test_a_worked_example():
    # Shares 0.5/0.3/0.2 against 0.4/0.3/0.3: 0.1 ln 1.25 + 0 + 0.1 ln 1.5, and a trace of smoothing.
    wanted = 0.1 * np.log(1.25) + 0.1 * np.log(1.5)
    assert compute_psi([50_000, 30_000, 20_000], [40_000, 30_000, 30_000]) == pytest.approx(wanted, rel=1e-3)


@given(counts)
def test_equal_shares_have_no_psi(values):
    assert compute_psi(values, values) == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=12))
def test_psi_is_finite_symmetric_and_never_negative(pairs):
    before, now = zip(*pairs, strict=True)
    assert np.isfinite(compute_psi(before, now))
    assert compute_psi(before, now) >= 0
    assert compute_psi(before, now) == pytest.approx(compute_psi(now, before))


def test_no_rows_are_no_drift():
    assert compute_psi([10, 20], [0, 0]) == 0
    assert compute_psi([0, 0], [10, 20]) == 0
    assert compute_chance_psi([10, 20], [0, 0]) == 0


def test_bins_that_are_empty_on_both_sides_do_not_matter():
    assert compute_psi([100, 50, 0, 0], [90, 60, 0, 0]) == compute_psi([100, 50], [90, 60])


def test_chance_is_what_equal_distributions_rarely_reach():
    rng = np.random.default_rng(11)
    shares = rng.dirichlet(np.ones(10))
    found = []
    for _ in range(2_000):
        before, now = rng.multinomial(20_000, shares), rng.multinomial(500, shares)
        found.append(compute_psi(before, now) > compute_chance_psi(before, now))
    assert 0.002 < np.mean(found) < 0.02


def test_levels():
    assert [classify_psi(value) for value in (0.0, 0.0999, 0.1, 0.2499, 0.25, 3.0)] == [
        "stable",
        "stable",
        "moderate",
        "moderate",
        "major",
        "major",
    ]
