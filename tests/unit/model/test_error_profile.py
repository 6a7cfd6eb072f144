"""Error profiles: regions that NumPy assigns as the tree says, corrections that follow the hold-out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.documents import read_document
from evergreen.model.error_profile.build import build_error_profile
from evergreen.model.error_profile.partition import (
    Split,
    assign_regions,
    grow_partition,
    list_features,
    serialize_partition,
)
from evergreen.model.error_profile.profile import (
    CONFIDENCE,
    PREDICTED,
    ClassErrorProfile,
    NumberErrorProfile,
    parse_error_profile,
)
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

TREE = Split("age", 30.0, Split("segment", "web", 0, 1), Split("age", 60.0, 2, 3))


def test_missing_values_go_where_the_condition_does_not_hold() -> None:
    columns = {
        "age": np.array([30.0, 30.5, 60.5, np.nan, 12.0]),
        "segment": np.array(["web", "web", None, "web", None], dtype=object),
    }
    assert assign_regions(TREE, columns, 5).tolist() == [0, 2, 3, 3, 1]
    assert assign_regions(0, columns, 5).tolist() == [0] * 5
    assert list_features(TREE) == {"age", "segment"}


def test_a_partition_survives_json() -> None:
    assert read_document(Split, json.loads(json.dumps(serialize_partition(TREE)))) == TREE
    assert serialize_partition(0) == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(5, 60))
def test_grown_regions_are_numbered_through_and_as_large_as_asked(seed: int, most: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 200
    numbers = np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 9, rows).astype(float))
    texts = rng.choice(np.array(["a", "b", None], dtype=object), rows)
    columns = {"x": numbers, "t": texts, "constant": np.ones(rows), "nothing": np.full(rows, np.nan)}
    errors = rng.normal(size=rows) + (numbers > 4)
    partition = grow_partition(
        columns, errors, np.ones(rows), most_regions=most, least_rows=least, least_gain=0.0
    )
    counts = np.bincount(assign_regions(partition, columns, rows))
    assert len(counts) <= most
    assert counts.min() >= min(least, rows)
    assert list_features(partition) <= {"x", "t"}


def test_a_region_where_the_model_errs_more_is_found(toy_use_case: UseCase) -> None:
    rng = np.random.default_rng(1)
    rows = 4_000
    columns = make_columns(rng, rows)
    confidence = rng.uniform(0.6, 0.95, rows)
    # Calibrated but for clients who came by phone: there it is right as often as not.
    is_phone = columns["segment"] == "phone"
    right = rng.random(rows) < np.where(is_phone, 0.5, confidence)
    profile = build_error_profile(toy_use_case, columns, *answer(confidence, right))
    assert isinstance(profile, ClassErrorProfile)
    assert profile.rows == rows
    assert profile.reference["accuracy"] == pytest.approx(right.mean())
    assert profile.deviations["accuracy"] == pytest.approx(right.std())
    own = {**columns, CONFIDENCE: confidence, PREDICTED: np.array(["yes"] * rows, dtype=object)}
    shares = profile.compute_right_shares(confidence, assign_regions(profile.partition, own, rows))
    assert confidence[is_phone].mean() > 0.75
    assert shares[is_phone].mean() == pytest.approx(0.5, abs=0.08)
    assert shares[~is_phone].mean() == pytest.approx(confidence[~is_phone].mean(), abs=0.03)
    again = parse_error_profile(json.loads(json.dumps(profile.to_json())))
    assert isinstance(again, ClassErrorProfile)
    assert again.partition == profile.partition
    np.testing.assert_allclose(again.parameters, profile.parameters, atol=1e-7)
    np.testing.assert_allclose(again.covariance, profile.covariance, rtol=1e-4)
    assert (again.shares, again.reference, again.deviations) == (
        pytest.approx(profile.shares, abs=1e-7),
        profile.reference,
        profile.deviations,
    )


def test_a_small_hold_out_hardly_corrects_a_calibrated_model(toy_use_case: UseCase) -> None:
    rng = np.random.default_rng(2)
    columns = make_columns(rng, 60)
    confidence = np.full(60, 0.9)
    # By chance eight of ten are right.
    right = np.arange(60) % 5 > 0
    profile = build_error_profile(toy_use_case, columns, *answer(confidence, right))
    assert isinstance(profile, ClassErrorProfile)
    assert profile.regions == 1
    (share,) = set(profile.compute_right_shares(confidence, np.zeros(60, dtype=np.intp)).round(9))
    assert 0.85 < share < 0.9


def test_errors_of_numbers_are_kept_by_region(toy_use_case: UseCase) -> None:
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    rng = np.random.default_rng(3)
    rows = 2_000
    columns = make_columns(rng, rows)
    spread = np.where(columns["age"] > 60, 5.0, 1.0)
    truth = rng.normal(size=rows)
    scores = Predictions(truth + spread * rng.choice([-1.0, 1.0], rows), None)
    profile = build_error_profile(number, columns, truth, scores)
    assert isinstance(profile, NumberErrorProfile)
    means = sorted(region.mean_absolute for region in profile.regions)
    assert means[0] == pytest.approx(1.0, abs=0.1)
    assert means[-1] == pytest.approx(5.0, abs=0.3)
    assert sum(region.rows for region in profile.regions) == rows
    assert profile.deviations["label"] == pytest.approx(truth.std())
    again = parse_error_profile(json.loads(json.dumps(profile.to_json())))
    assert again.to_json() == profile.to_json()


def make_columns(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Every input of the toy's model."""
    return {
        "age": rng.integers(18, 90, rows).astype(float),
        "visits": rng.poisson(4, rows).astype(float),
        "spend": rng.gamma(2.0, 20.0, rows),
        "spend_per_visit": rng.gamma(2.0, 5.0, rows),
        "segment": rng.choice(np.array(["web", "shop", "phone", None], dtype=object), rows),
        "mood": rng.choice(np.array(["fine", "so so"], dtype=object), rows),
    }


def answer(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, Predictions]:
    """Labels and predictions "yes" of that confidence, right where asked."""
    label = np.where(right, "yes", "no").astype(object)
    predictions: np.ndarray = np.array(["yes"] * len(right), dtype=object)
    probabilities = np.stack([1.0 - confidence, confidence], axis=1)
    return label, Predictions(predictions, probabilities, ("no", "yes"))
