import json
from dataclasses import replace

import numpy as np
import pytest

from evergreen.model.reference_profile import (
    PREDICTION,
    build_reference_profile,
    parse_profiles,
    serialize_profiles,
)


def by_name(profiles):
    return {p.feature: p for p in profiles}


@pytest.fixture
def found(toy_use_case, toy_columns):
    columns, label = toy_columns(600)
    return by_name(build_reference_profile(toy_use_case, columns, label)), columns


def test_every_model_input_and_the_answers_have_a_profile_that_counts_all_rows(found, toy_use_case):
    profiles, _ = found
    assert set(profiles) == {*(f.name for f in toy_use_case.model_features), PREDICTION}
    assert all(sum(p.counts) == 600 for p in profiles.values())
    assert all(len(p.counts) == len(p.bins) + 2 == len(p.names()) for p in profiles.values())


def test_numbers_fall_into_deciles_and_missing_ones_into_their_own_bin(found):
    profiles, columns = found
    spend = profiles["spend"]
    assert len(spend.bins) == 9
    assert spend.counts[-1] == np.isnan(columns["spend"]).sum() > 0
    assert min(spend.counts[:-1]) > 0.08 * 600


def test_a_value_on_an_edge_belongs_to_the_bin_it_ends(found):
    spend = found[0]["spend"]
    edge = spend.bins[3]
    # The log holds NULL for an infinite number.
    places = spend.count(np.array([edge, np.nextafter(edge, np.inf), -np.inf, np.inf, np.nan]))
    assert places.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 3]


def test_few_values_make_few_bins_and_none_is_empty(toy_use_case, toy_columns):
    columns, label = toy_columns(600)
    columns["visits"] = np.where(columns["visits"] > 4, 1.0, 0.0)
    columns["age"] = np.full(600, 33.0)
    columns["spend"] = np.full(600, np.nan)
    profiles = by_name(build_reference_profile(toy_use_case, columns, label))
    assert profiles["visits"].bins == (0.0,)
    assert min(profiles["visits"].counts[:2]) > 0
    assert profiles["age"].bins == (np.nextafter(33.0, 0.0), 33.0)  # a bin for the constant alone
    assert profiles["age"].counts == (0, 600, 0, 0)
    assert profiles["spend"].counts == (0, 600)


def test_rare_categories_are_counted_as_other_and_missing_ones_apart(toy_use_case, toy_columns):
    columns, label = toy_columns(600)
    columns["mood"] = np.array([None, "rare", *["fine"] * 300, *["übel"] * 298], dtype=object)
    mood = by_name(build_reference_profile(toy_use_case, columns, label))["mood"]
    assert mood.bins == ("fine", "übel")
    assert mood.counts == (300, 298, 1, 1)
    assert mood.names() == ["fine", "übel", "(other)", "(missing)"]
    assert mood.count(np.array(["never seen", None], dtype=object)).tolist() == [0, 0, 1, 1]


def test_regression_answers_are_binned_like_numbers(toy_use_case, toy_columns):
    columns, _ = toy_columns(600)
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    assert by_name(build_reference_profile(number, columns, columns["age"]))[PREDICTION].kind == "numeric"


def test_a_profile_survives_json(found):
    profiles = list(found[0].values())
    assert parse_profiles(json.loads(json.dumps(serialize_profiles(profiles)))) == profiles
