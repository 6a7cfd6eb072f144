from dataclasses import replace

import numpy as np
import pytest

from evergreen.model.reference_profile import (
    PREDICTION,
    arrange_profiles,
    build_reference_profile,
    build_slice_profiles,
    parse_profiles,
    serialize_profiles,
)
from evergreen.model.slice_groups import SliceGroup, find_slice_groups, group_by_feature, parse_slice_group
from evergreen.usecase import Slice


@pytest.fixture
def sliced(toy_use_case):
    return replace(toy_use_case, slices=(Slice("segment"), Slice("age", edges=(30, 60.5))))


def texts(*values):
    return np.array(values, dtype=object)


def test_groups_are_those_with_a_name_and_enough_rows(sliced):
    segment = texts(*["web"] * 300, *["shop"] * 200, *["phone"] * 29, *[None] * 71)
    age = np.array([29.9] * 100 + [30.0] * 450 + [60.5] * 20 + [np.nan] * 30)
    groups = find_slice_groups(sliced, {"segment": segment, "age": age})
    assert [group.name for group in groups] == ["segment=web", "segment=shop", "age=< 30", "age=30 to 60.5"]
    assert [(group.low, group.high) for group in groups[2:]] == [(None, 30.0), (30.0, 60.5)]


def test_a_category_has_twenty_groups_at_most_and_none_whose_name_no_column_takes(sliced):
    names = [f"s{n:02}" for n in range(25)]
    segment = texts(*names * 40, *["x" * 256] * 60)
    groups = find_slice_groups(sliced, {"segment": segment})
    assert [group.label for group in groups] == names[:19]  # the long one is the most frequent
    assert find_slice_groups(sliced, {"segment": segment[:0]}) == []


def test_a_group_has_its_rows_and_no_missing_value():
    assert SliceGroup("s", "a").select(texts("a", "b", None, "A")).tolist() == [True, False, False, False]
    numbers = np.array([np.nan, -np.inf, 29.999, 30.0, 60.0, np.inf])
    assert (
        SliceGroup("n", "30 to 60", 30.0, 60.0).select(numbers).tolist() == [False] * 3 + [True] + [False] * 2
    )
    assert SliceGroup("n", "< 30", None, 30.0).select(numbers).tolist() == [False, True, True] + [False] * 3
    assert SliceGroup("n", ">= 60", 60.0).select(numbers)[-2:].tolist() == [True, False]


@pytest.mark.parametrize(
    "group", [SliceGroup("f", "a=b"), SliceGroup("f", ""), SliceGroup("f", "< 0", None, 0.0)]
)
def test_a_group_is_read_back_by_its_name(group):
    assert parse_slice_group(group.name, group.low, group.high) == group
    assert group_by_feature([group, replace(group, label="c")])["f"][0] is group


def test_slices_have_the_bins_of_all_rows_and_their_own_counts(sliced, toy_columns):
    columns, answers = toy_columns(600)
    profiles = build_reference_profile(sliced, columns, answers)
    held_out = {name: values[:120] for name, values in columns.items()}
    parts = build_slice_profiles(sliced, profiles, columns, answers[:120], held_out)
    arranged = arrange_profiles([*profiles, *parts])
    whole = arranged.pop("")
    assert {name.partition("=")[0] for name in arranged} == {"segment", "age"}
    for name, some in arranged.items():
        assert set(some) == set(whole)
        group = some["age"].group
        rows = group.select(columns[group.feature])
        for feature, each in some.items():
            assert (each.bins, each.slice) == (whole[feature].bins, name)
            values = answers[:120] if feature == PREDICTION else columns[feature]
            chosen = group.select(held_out[group.feature]) if feature == PREDICTION else rows
            assert list(each.counts) == whole[feature].count(values[chosen]).tolist()
    ages = [some["age"].counts for name, some in arranged.items() if name.startswith("age=")]
    present = np.sum(whole["age"].counts[:-1])
    assert np.sum(ages) == pytest.approx(present, abs=30)
    assert parse_profiles(serialize_profiles(parts)) == parts


def test_profiles_of_a_version_before_slices_are_read(toy_use_case, toy_columns):
    columns, answers = toy_columns(600)
    profiles = build_reference_profile(toy_use_case, columns, answers)
    keys = {"feature", "kind", "bins", "counts"}
    assert all(set(each) - {"range"} == keys for each in serialize_profiles(profiles))
    assert build_slice_profiles(toy_use_case, profiles, columns, answers, columns) == []
