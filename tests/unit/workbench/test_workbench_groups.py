"""The target by group: counts, shares and means that add up, and how much a feature explains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from evergreen.pages.page import Section, render_page, render_table
from evergreen.usecase import UseCase
from evergreen.workbench.groups import MISSING, OTHER, group_by_feature
from evergreen.workbench.page import render_correlations, render_feature_cards
from evergreen.workbench.profile import render_correlation_section

NO_CLASSES: tuple[str, ...] = ()


def test_each_category_has_its_rows_and_its_shares_of_the_classes() -> None:
    colour = np.array(["red", "red", "blue", None], dtype=object)
    target = np.array(["no", "yes", "yes", "no"], dtype=object)
    (found,) = group_by_feature({"colour": colour}, target, ("no", "yes"))
    assert {group.name: (group.rows, group.shares) for group in found.groups} == {
        "red": (2, (0.5, 0.5)),
        "blue": (1, (0.0, 1.0)),
        MISSING: (1, (1.0, 0.0)),
    }


def test_numbers_are_put_into_bins_that_hold_about_as_many_rows() -> None:
    size = np.arange(1_000, dtype=np.float64)
    (found,) = group_by_feature({"size": size}, 2 * size, NO_CLASSES)
    assert [group.rows for group in found.groups] == [100] * 10
    assert found.groups[0].mean == pytest.approx(99.0)
    assert found.explains == pytest.approx(0.99, abs=0.005)


def test_what_explains_most_comes_first() -> None:
    rng = np.random.default_rng(1)
    target = rng.choice(np.array(["a", "b"], dtype=object), 500)
    same = (target == "a") * 1.0
    found = group_by_feature({"noise": rng.normal(size=500), "same": same}, target, ("a", "b"))
    assert [each.feature for each in found] == ["same", "noise"]
    assert found[0].explains == pytest.approx(1.0)
    assert found[1].explains < 0.1


def test_rare_categories_are_counted_together() -> None:
    values = np.array([f"v{min(i % 97, 40)}" for i in range(970)], dtype=object)
    (found,) = group_by_feature({"v": values}, np.ones(970), NO_CLASSES)
    assert len(found.groups) == 13
    assert found.groups[-1].name == OTHER


_VALUES = st.lists(
    st.none() | st.sampled_from([0.0, 1.0, 2.5, -7.0]) | st.floats(-1e9, 1e9), min_size=1, max_size=60
)


@given(values=_VALUES, seed=st.integers(0, 99))
def test_groups_hold_every_row_once_and_explain_a_part_of_the_target(
    values: list[float | None], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.array([np.nan if v is None else v for v in values])
    texts = np.array([None if v is None else f"{v:.0f}" for v in values], dtype=object)
    classes = ("a", "b", "c")
    target = rng.choice(np.array(classes, dtype=object), len(values))
    amount = rng.normal(size=len(values))
    columns = {"numbers": numbers, "texts": texts}
    for found in group_by_feature(columns, target, classes):
        assert sum(group.rows for group in found.groups) == len(values)
        assert all(sum(group.shares) == pytest.approx(1.0) for group in found.groups)
        assert 0.0 <= found.explains <= 1.0 + 1e-9
    for found in group_by_feature(columns, amount, NO_CLASSES):
        means = [(group.mean or 0.0) * group.rows for group in found.groups]
        assert sum(means) == pytest.approx(float(amount.sum()), abs=1e-6)
        assert 0.0 <= found.explains <= 1.0


def test_the_explained_part_is_mutual_information_over_the_targets_entropy() -> None:
    rng = np.random.default_rng(5)
    group = rng.choice(np.array(["x", "y", "z"], dtype=object), 300)
    target = np.where(rng.random(300) < 0.6, np.where(group == "x", "a", "b"), "a").astype(object)
    (found,) = group_by_feature({"group": group}, target, ("a", "b"))
    expected = mutual_info_score(target, group) / mutual_info_score(target, target)
    assert found.explains == pytest.approx(expected)


def test_the_page_shows_any_text_as_text() -> None:
    evil = "<script>alert(1)</script>"
    (found,) = group_by_feature(
        {evil: np.array([evil, evil], dtype=object)}, np.array([evil, "b"]), (evil, "b")
    )
    body = render_table(("a",), [(evil,)]) + render_feature_cards([found], (evil, "b"))
    body += render_correlations(pd.DataFrame({evil: np.arange(20.0), "b": np.arange(20.0)}))
    text = render_page(evil, [evil], [Section("Part", body)])
    assert evil not in text
    assert text.count("&lt;script&gt;") >= 6


def test_a_number_that_changes_late_is_correlated_and_a_constant_is_not(toy_use_case: UseCase) -> None:
    rows = 1_500
    columns = {
        feature.name: np.linspace(0.0, 1.0, rows) if feature.numeric else np.full(rows, "x", dtype=object)
        for feature in toy_use_case.model_features
    }
    columns["visits"] = np.where(np.arange(rows) < 1_200, 3.0, 5.0)
    columns["age"] = np.full(rows, 40.0)
    text = render_correlation_section(toy_use_case, columns)
    assert "<th>visits</th>" in text
    assert "<th>age</th>" not in text
    only = {
        name: values if name == "spend" else np.full_like(values, values[0])
        for name, values in columns.items()
    }
    assert "nothing to correlate" in render_correlation_section(toy_use_case, only)
