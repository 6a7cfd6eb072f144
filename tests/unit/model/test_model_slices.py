import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.judging.slices import assign_groups, compute_slice_metrics
from evergreen.model.predictions import Predictions
from evergreen.model.slice_groups import MINIMUM_ROWS, MOST_GROUPS
from evergreen.usecase import Slice


def names(*values):
    return np.array(values, dtype=object)


def sliced(use_case, *chosen, classes=("no", "yes")):
    return replace(use_case, slices=chosen, label=replace(use_case.label, classes=classes))


def scored(said):
    """Scores of predicted class names; slices look at nothing else of them."""
    return Predictions(said, np.full((len(said), 2), 0.5))


def test_numbers_are_cut_at_the_edges_into_right_open_bins():
    ages = np.array([40.0, 39.9, 24.999, 25.0, np.nan, -1.0])
    order, found = assign_groups(Slice("age", edges=(25.0, 40.0)), ages)
    assert order == ["< 25", "25 to 40", ">= 40", "missing"]
    assert found.tolist() == [">= 40", "25 to 40", "< 25", "25 to 40", "missing", "< 25"]
    assert assign_groups(Slice("age", edges=(0.5,)), np.array([7.0]))[0] == [">= 0.5"]


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=4, unique=True).map(sorted),
    st.lists(st.one_of(st.integers(-60, 60), st.just(None)), min_size=1),
)
def test_each_number_is_in_the_bin_that_says_so(edges, values):
    column = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    order, found = assign_groups(Slice("age", edges=tuple(map(float, edges))), column)
    assert set(order) == set(found.tolist())
    for value, name in zip(values, found, strict=True):
        if value is None:
            assert name == "missing"
        elif name.startswith("<"):
            assert value < float(name[2:]) == edges[0]
        elif name.startswith(">="):
            assert value >= float(name[3:]) == edges[-1]
        else:
            low, high = map(float, name.split(" to "))
            assert low <= value < high


def test_categories_are_groups_and_rare_ones_are_one():
    common = [f"c{number:02}" for number in range(MOST_GROUPS)]
    order, found = assign_groups(Slice("mood"), names("z", None, *common[::-1], *common, "y", None, None))
    assert order == [*common, "(other)", "missing"]
    assert found[0] == found[-3] == "(other)"
    assert found[1] == "missing"
    assert assign_groups(Slice("mood"), names("b", "a"))[0] == ["a", "b"]


def test_binary_metrics_by_group(toy_use_case):
    use_case = sliced(toy_use_case, Slice("segment", sensitive=True))
    segment = names(*["web"] * 40, *["shop"] * 60, *["phone"] * 10)
    truth = names(*["yes", "no"] * 20, *["yes"] * 30, *["no"] * 30, *["yes"] * 10)
    said = truth.copy()
    said[0] = "no"
    said[40:70] = "no"
    (found,) = compute_slice_metrics(use_case, {"segment": segment}, truth, scored(said))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["feature"], found["sensitive"], found["metric"]) == ("segment", True, "accuracy")
    phone, shop, web = found["groups"]
    assert [(each["name"], each["rows"], each["judged"]) for each in found["groups"]] == [
        ("phone", 10, False),
        ("shop", 60, True),
        ("web", 40, True),
    ]
    assert web["values"] == pytest.approx(
        {
            "accuracy": 39 / 40,
            "balanced_accuracy": (1 + 19 / 20) / 2,
            "selection_rate": 19 / 40,
            "precision": 1.0,
            "recall": 19 / 20,
        }
    )
    assert shop["values"]["precision"] is None, "nothing was predicted"
    assert shop["values"]["recall"] == 0.0
    assert phone["values"]["recall"] == 1.0
    # Ten rows of the phone are not judged, and a precision of one group alone is compared with none.
    assert found["difference"] == {
        "accuracy": pytest.approx(39 / 40 - 1 / 2),
        "balanced_accuracy": pytest.approx(39 / 40 - 1 / 2),
        "selection_rate": pytest.approx(19 / 40),
        "precision": None,
        "recall": pytest.approx(19 / 20),
    }
    assert found["ratio"]["accuracy"] == pytest.approx(0.5 * 40 / 39)
    assert found["ratio"]["precision"] is None


def test_multiclass_has_what_needs_no_positive_class(toy_use_case):
    use_case = sliced(toy_use_case, Slice("mood"), classes=("a", "b", "c"))
    truth = names(*"abc" * 20)
    said = np.where(truth == "c", "a", truth)
    (found,) = compute_slice_metrics(use_case, {"mood": names(*["fine"] * 60)}, truth, scored(said))
    assert found["groups"][0]["values"] == pytest.approx({"accuracy": 2 / 3, "balanced_accuracy": 2 / 3})
    assert found["difference"] == found["ratio"] == {"accuracy": None, "balanced_accuracy": None}


def test_regression_has_error_and_bias(toy_use_case):
    use_case = sliced(toy_use_case, Slice("age", edges=(50.0,)), classes=())
    ages = np.repeat([20.0, 70.0], 40)
    label = np.arange(80.0)
    said = label + np.repeat([2.0, -1.0], 40)
    (found,) = compute_slice_metrics(use_case, {"age": ages}, label, Predictions(said, None))
    assert found["metric"] == "mae"
    assert [each["values"] for each in found["groups"]] == [
        {"mae": pytest.approx(2.0), "mean_error": pytest.approx(2.0)},
        {"mae": pytest.approx(1.0), "mean_error": pytest.approx(-1.0)},
    ]
    assert found["difference"] == {"mae": pytest.approx(1.0), "mean_error": pytest.approx(3.0)}
    assert found["ratio"] == {"mae": pytest.approx(0.5), "mean_error": None}


def test_perfect_groups_have_no_ratio_of_errors(toy_use_case):
    use_case = sliced(toy_use_case, Slice("age", edges=(50.0,)), classes=())
    label = np.arange(80.0)
    (found,) = compute_slice_metrics(
        use_case, {"age": np.repeat([20.0, 70.0], 40)}, label, Predictions(label, None)
    )
    assert found["difference"]["mae"] == 0.0
    assert found["ratio"]["mae"] is None


@example(seed=27, moods=1, rows=1)
@given(st.integers(0, 50), st.integers(1, 4), st.integers(1, 150))
def test_groups_add_up_to_all_rows(toy_use_case, seed, moods, rows):
    use_case = sliced(toy_use_case, Slice("mood"), Slice("age", edges=(30.0, 60.0)))
    rng = np.random.default_rng(seed)
    truth, said = rng.choice(names("no", "yes"), (2, rows))
    columns = {
        "mood": rng.choice(names(None, "fine", "so so", "übel")[:moods], rows),
        "age": rng.choice(np.array([10.0, 30.0, 70.0, np.nan]), rows),
    }
    for found in compute_slice_metrics(use_case, columns, truth, scored(said)):
        json.dumps(found, allow_nan=False)
        assert sum(each["rows"] for each in found["groups"]) == rows
        right = sum(each["rows"] * each["values"]["accuracy"] for each in found["groups"])
        whole = compute_metrics(use_case, truth, scored(said))["accuracy"]
        assert right == pytest.approx(rows * whole)
        judged = [each for each in found["groups"] if each["judged"]]
        assert all(each["rows"] >= MINIMUM_ROWS for each in judged)
        values = [each["values"]["accuracy"] for each in judged]
        if len(values) > 1:
            assert found["difference"]["accuracy"] == pytest.approx(max(values) - min(values))


def test_without_slices_or_the_feature(toy_use_case):
    truth = names("no", "yes")
    assert compute_slice_metrics(sliced(toy_use_case), {}, truth, scored(truth)) == []
    with pytest.raises(TrainingError, match="no feature 'mood'"):
        compute_slice_metrics(sliced(toy_use_case, Slice("mood")), {"age": np.ones(2)}, truth, scored(truth))
