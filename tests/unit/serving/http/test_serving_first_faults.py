"""A bad body is searched until there are enough faults, and these are the first of all, in order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evergreen.serving.http.first_faults import MOST_FAULTS
from evergreen.serving.http.schema import Schemas, build_schemas
from evergreen.settings import Settings
from support.parcel_case import declare, row

BAD: list[dict[str, Any]] = [
    {"weight": 99},
    {"parcel_id": "x{0}"},
    {"colour": 1, "size": 2},
    {"carrier": None},
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    return build_schemas(declare(Settings(use_cases=str(tmp_path_factory.mktemp("use-cases")))))


def find_faults(models: Schemas, data: Any) -> list[dict[str, Any]]:
    try:
        models.predict_batch.model_validate({"data": data})
    except ValidationError as error:
        return [dict(fault) for fault in error.errors(include_url=False)]
    return []


def find_row_faults(models: Schemas, rows: list[Any]) -> list[dict[str, Any]]:
    """Every fault of every row, each row by itself."""
    faults: list[dict[str, Any]] = []
    for position, each in enumerate(rows):
        try:
            models.row.model_validate(each)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                faults.append({**fault, "loc": ("data", position, *fault["loc"])})
    return faults


@given(st.lists(st.sampled_from([None, *range(len(BAD))]), min_size=1, max_size=60))
def test_the_first_faults_are_those_of_the_first_rows(models: Schemas, kinds: list[int | None]) -> None:
    rows = [row(**({} if kind is None else BAD[kind])) for kind in kinds]
    every, few = find_row_faults(models, rows), find_faults(models, rows)
    assert few == every[: len(few)]
    assert len(few) == len(every) or len(few) >= MOST_FAULTS
    assert len(few) <= MOST_FAULTS + 1


def test_a_huge_bad_batch_has_few_faults(models: Schemas) -> None:
    rows = [row(**{f"unknown{n}": n for n in range(5)})] * 200
    assert len(find_faults(models, rows)) == MOST_FAULTS


@pytest.mark.parametrize("data", [[], "text", None, 1, {"0": row()}, [1, None], [[row()]]])
def test_what_is_no_list_of_rows_is_refused_as_before(models: Schemas, data: Any) -> None:
    assert find_faults(models, data)


def test_a_body_of_many_unknown_fields_has_few_faults(models: Schemas) -> None:
    unknown = {f"unknown{n}": n for n in range(3_000)}
    for body in ({"data": row(**unknown)}, {"data": row(), **unknown}, {"data": row(weight=99, **unknown)}):
        with pytest.raises(ValidationError) as caught:
            models.predict.model_validate(json.loads(json.dumps(body)))
        assert MOST_FAULTS < caught.value.error_count() < 30
