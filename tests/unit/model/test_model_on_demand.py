"""On-demand features: one code path for one request and for a million rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import StoreError
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame, build_columns_from_rows
from evergreen.usecase import OnDemandFeature, UseCase


def test_a_request_and_a_training_row_give_the_same_vector(
    toy_use_case: UseCase, toy_frames: Callable[..., dict[str, pd.DataFrame]]
) -> None:
    frame = toy_frames(60)["facts"]
    offline = add_on_demand_columns(toy_use_case, build_columns_from_frame(frame, toy_use_case))
    for number, row in enumerate(frame.to_dict("records")):
        # As JSON would carry it: null for missing.
        request = {name: None if pd.isna(value) else value for name, value in row.items()}
        online = add_on_demand_columns(toy_use_case, build_columns_from_rows(toy_use_case, [request]))
        assert list(online) == list(offline)
        for name, values in online.items():
            np.testing.assert_array_equal(values, offline[name][number : number + 1])
            assert values.dtype == offline[name].dtype
    assert offline["spend_per_visit"].dtype == np.float64


def test_what_a_request_leaves_out_is_missing(toy_use_case: UseCase) -> None:
    columns = build_columns_from_rows(toy_use_case, [{"age": 3}, {"segment": "web"}])
    np.testing.assert_array_equal(columns["age"], [3.0, np.nan])
    assert columns["segment"].tolist() == [None, "web"]


def test_pandas_own_strings_become_objects_with_none(toy_use_case: UseCase) -> None:
    frame = pd.DataFrame({"age": [1], "visits": [1], "spend": [1], "segment": ["web"], "mood": [None]})
    columns = build_columns_from_frame(frame.astype({"segment": "str", "mood": "str"}), toy_use_case)
    assert columns["segment"].dtype == object
    assert (columns["segment"][0], columns["mood"][0]) == ("web", None)
    with pytest.raises(StoreError, match="no feature 'mood'"):
        build_columns_from_frame(frame.drop(columns="mood"), toy_use_case)


def test_infinity_is_missing_and_categories_use_none(toy_use_case: UseCase) -> None:
    def ratio(spend: Any, visits: Any) -> Any:
        return spend / visits

    def paint(age: Any) -> Any:
        found = np.full(len(age), np.nan, dtype=object)
        found[age > 1] = "red"
        return found

    use_case = replace(toy_use_case, on_demand=(OnDemandFeature(ratio), OnDemandFeature(paint, "category")))
    rows = [{"age": 1, "spend": 1.0, "visits": 0}, {"age": 2, "spend": 6.0, "visits": 2}]
    found = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    np.testing.assert_array_equal(found["ratio"], [np.nan, 3.0])
    assert found["paint"].tolist() == [None, "red"]


@pytest.mark.parametrize("fault", ["raises", "exits", "too short", "a scalar", "texts"])
def test_a_faulty_function_is_named(toy_use_case: UseCase, fault: str) -> None:
    def broken(age: Any) -> Any:
        if fault == "raises":
            raise KeyError("oops")
        if fault == "exits":
            sys.exit(1)
        return {"too short": age[1:], "a scalar": 3.0, "texts": np.full(len(age), "x")}[fault]

    use_case = replace(toy_use_case, on_demand=(OnDemandFeature(broken),))
    with pytest.raises(StoreError, match="'broken'") as raised:
        add_on_demand_columns(use_case, build_columns_from_rows(use_case, [{"age": 1}, {"age": 2}]))
    assert raised.value.hint


def test_features_are_computed_after_their_inputs(toy_use_case: UseCase) -> None:
    def double(age: Any) -> Any:
        return 2 * age

    def quadruple(double: Any) -> Any:
        return 2 * double

    use_case = replace(toy_use_case, on_demand=(OnDemandFeature(quadruple), OnDemandFeature(double)))
    assert add_on_demand_columns(use_case, build_columns_from_rows(use_case, [{"age": 3}]))[
        "quadruple"
    ].tolist() == [12.0]
