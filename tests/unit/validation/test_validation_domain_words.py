"""One value is judged as a whole ingest judges it, and in the same words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.usecase import Feature, UseCase
from evergreen.validation.contract import validate_part
from evergreen.validation.domain_words import find_broken_check, list_domain_warnings
from support import toy_declaration

TOY = toy_declaration.USE_CASE
NUMBERS = st.none() | st.floats(-100, 100)
WORDS = st.sampled_from(["a", "b", "c", "A", None])


def holding(feature: Feature) -> UseCase:
    """The toy with that feature alone, so that a report is about nothing else."""
    return replace(TOY, on_demand=(), views=(replace(TOY.views[0], features=(feature,)),))


@st.composite
def features(draw: st.DrawFn) -> tuple[Feature, Any]:
    """A feature of any domain and a value of its type."""
    share = draw(st.sampled_from([0.0, 0.5]))
    if draw(st.booleans()):
        allowed = draw(st.sampled_from([(), ("a",), tuple("abdefghijk")]))
        return Feature("it", "category", "", allowed=allowed, max_null_share=share), draw(WORDS)
    low, high = draw(NUMBERS), draw(NUMBERS)
    return Feature("it", "float", "", minimum=low, maximum=high, max_null_share=share), draw(NUMBERS)


@given(given_both=features())
def test_a_value_and_an_ingest_say_the_same(given_both: tuple[Feature, Any]) -> None:
    feature, value = given_both
    raw = pd.DataFrame({"client_id": [1], "month": ["2026-01-01"], "it": pd.Series([value], dtype=object)})
    use_case = holding(feature)
    _, report = validate_part(use_case, use_case.views[0], raw)
    # Of one number beyond both ends (a minimum over the maximum) one check is enough.
    found = [each.check for each in report.errors if each.check != "more than 50% have no value"]
    assert find_broken_check(feature, value) in (found or [""])


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan])
def test_any_form_of_missing_is_missing(missing: float | None) -> None:
    assert find_broken_check(Feature("it", "float", "", minimum=0), missing) == "has no value"
    assert find_broken_check(Feature("it", "float", "", minimum=0, max_null_share=0.1), missing) == ""


def test_a_row_is_warned_of_field_by_field() -> None:
    told = list_domain_warnings(
        TOY.stored_features, {"age": 130, "visits": 3.0, "segment": "fax", "mood": None}
    )
    assert told == [
        {"field": "age", "reason": "is more than 120"},
        {"field": "segment", "reason": "is not one of web, shop, phone"},
    ]
    assert list_domain_warnings(TOY.stored_features, {"age": 3})[0] == {
        "field": "visits",
        "reason": "has no value",
    }
