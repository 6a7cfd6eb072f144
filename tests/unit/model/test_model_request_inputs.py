"""The inputs of request rows are those that the columns of a table give."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import StoreError
from evergreen.model.log_rows import list_logged_names
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.request_inputs import RequestInputBuilder
from evergreen.serving.http.examples import draw_requests
from evergreen.usecase import UseCase
from evergreen.usecases.titanic import USE_CASE as TITANIC
from support.answering import fit
from support.toy_declaration import USE_CASE as TOY

CASES = {"toy": TOY, "titanic": TITANIC}


@cache
def model(name: str) -> CatBoostClassifier:
    return fit(CASES[name]).model


def compare(use_case: UseCase, name: str, rows: list[dict[str, Any]]) -> None:
    names = list_logged_names(use_case)
    built = RequestInputBuilder(use_case).build([tuple(row.get(n) for n in names) for row in rows])
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows))
    expected = model(name).predict(build_pool(use_case, columns), prediction_type="RawFormulaVal")
    actual = model(name).predict(built.pool, prediction_type="RawFormulaVal")
    assert np.array_equal(actual, expected)
    assert list(built.on_demand) == [f.name for f in use_case.on_demand_order]
    for feature in use_case.on_demand_order:
        assert np.array_equal(built.on_demand[feature.name], columns[feature.name], equal_nan=feature.numeric)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 20))
def test_both_ways_give_the_same(name: str, seed: int, count: int) -> None:
    compare(CASES[name], name, draw_requests(CASES[name], count, seed))


@settings(max_examples=50)
@given(
    spend=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    visits=st.integers(-(2**63), 2**63 - 1),
    mood=st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_extreme_and_missing_values_too(spend: float | None, visits: int, mood: str | None) -> None:
    rows = draw_requests(TOY, 2, 1)
    rows[0] |= {"spend": spend, "visits": visits, "mood": mood}
    compare(TOY, "toy", rows)


def test_a_function_that_fails_is_named(parcel: UseCase) -> None:
    def broken(weight: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    from dataclasses import replace

    from evergreen.usecase import OnDemandFeature

    use_case = replace(parcel, on_demand=(OnDemandFeature(broken),))
    with pytest.raises(StoreError, match="'broken' of 'parcel' failed"):
        RequestInputBuilder(use_case).build([tuple([None] * 8)])
