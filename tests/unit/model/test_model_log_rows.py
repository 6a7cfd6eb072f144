"""What the model saw, as the prediction log takes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evergreen.model.log_rows import build_prediction_rows, list_on_demand_values
from evergreen.model.predictions import Answer
from evergreen.usecase import OnDemandFeature, UseCase

ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def shout(mood):  # type: ignore[no-untyped-def]
    """The mood, loud."""
    return mood


def essay(mood):  # type: ignore[no-untyped-def]
    """The mood, long."""
    return mood


def rounded(spend):  # type: ignore[no-untyped-def]
    """Money spent, in whole units."""
    return spend


@pytest.fixture
def use_case(toy_use_case: UseCase) -> UseCase:
    on_demand = (OnDemandFeature(shout, "category"), OnDemandFeature(essay, "text"))
    return replace(toy_use_case, on_demand=(*on_demand, OnDemandFeature(rounded, "int")))


def test_computed_values_are_pythons_own_and_none_where_missing(use_case: UseCase) -> None:
    columns = {
        "shout": np.array(["HI", None], dtype=object),
        "essay": np.array([None, "long"], dtype=object),
        "rounded": np.array([np.nan, 2.5]),
    }
    assert list_on_demand_values(use_case, columns, 2) == [
        {"shout": "HI", "essay": None, "rounded": None},
        {"shout": None, "essay": "long", "rounded": 2.5},
    ]


def test_a_text_is_cut_to_what_its_column_takes(use_case: UseCase) -> None:
    columns = {
        "shout": np.array(["ü" * 300], dtype=object),
        "essay": np.array(["x" + "ü" * 40_000], dtype=object),
        "rounded": np.array([1.0]),
    }
    [values] = list_on_demand_values(use_case, columns, 1)
    assert values["shout"] == "ü" * 255
    assert values["essay"] == "x" + "ü" * 32_767
    lone = {name: np.array(["a\ud800b"], dtype=object) for name in ("shout", "essay")}
    [values] = list_on_demand_values(use_case, {**columns, **lone}, 1)
    assert (values["shout"], values["essay"]) == ("a?b", "a?b")


def test_without_on_demand_features_there_is_an_empty_row_each(toy_use_case: UseCase) -> None:
    assert list_on_demand_values(replace(toy_use_case, on_demand=()), {}, 2) == [{}, {}]


def test_each_answer_has_its_computed_values() -> None:
    answers = [Answer("yes", 0.75, {"yes": 0.75})]
    [row] = build_prediction_rows("online", 3, [ID], [{"age": 1}], answers, [{"shout": "HI"}])
    assert (row.inputs, row.on_demand) == ({"age": 1}, {"shout": "HI"})
    with pytest.raises(ValueError, match="zip"):
        build_prediction_rows("online", 3, [ID], [{"age": 1}], answers, [])
