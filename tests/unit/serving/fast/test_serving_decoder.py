"""The decoder accepts nothing that the contract's models refuse, and reads the same values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from evergreen.model.log_rows import list_logged_names
from evergreen.serving.fast.decoder import RequestDecoder
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.http.schema import build_schemas
from evergreen.usecase import Entity, Feature, Key, UseCase
from support.parcel_case import row
from support.toy_declaration import USE_CASE as TOY

ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([2**63, 2**63 - 1, -(2**63), -(2**63) - 1, 0, 12, 13])
    | st.floats()
    | st.sampled_from([3.0, 1e308, -1e308, 0.1, 50.0, 50.000001, 1e-320, -0.0])
    | st.text(max_size=6)
    | st.sampled_from(["van", "foot", "", "x" * 255, "x" * 256, "\ud800", "é" * 255, "\x00"])
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
)


def check(use_case: UseCase, body: bytes) -> bool:
    """Compare the decoder with the models; whether it accepts the body."""
    values = RequestDecoder(use_case).decode(body)
    if values is None:
        return False
    expected = build_schemas(use_case).predict.model_validate(json.loads(body)).data.__dict__  # type: ignore[attr-defined]
    names = list_logged_names(use_case)
    assert list(values) == [expected[name] for name in names]
    assert [type(value) for value in values] == [type(expected[name]) for name in names]
    return True


@settings(max_examples=300)
@given(name=st.sampled_from(["parcel_id", "weight", "stops", "carrier", "depot", "note", "other"]), value=ODD)
def test_it_accepts_what_the_models_accept_and_reads_the_same(name: str, value: Any) -> None:
    body = json.dumps({"data": {**row(), name: value}}).encode()
    check(_parcel(), body)


def _parcel() -> UseCase:
    """The parcel case without its files."""
    namespace: dict[str, Any] = {"__name__": "parcel"}
    from support.parcel_case import SOURCE

    exec(SOURCE, namespace)
    use_case: UseCase = namespace["USE_CASE"]
    return use_case


@pytest.mark.parametrize("seed", range(5))
def test_it_accepts_every_request_that_the_declaration_allows(seed: int) -> None:
    for use_case in (_parcel(), TOY):
        for request in draw_requests(use_case, 20, seed):
            assert check(use_case, json.dumps({"data": request}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"data": null}',
        b'{"data": {}, "more": 1}',
        b'{"data": {"weight": NaN}}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_request_is_left_to_the_models(body: bytes) -> None:
    assert RequestDecoder(_parcel()).decode(body) is None


def test_of_two_values_of_one_name_the_last_counts_as_everywhere() -> None:
    text = json.dumps({"data": row()})[:-2] + ', "weight": 3.5, "weight": 4.5}}'
    values = RequestDecoder(_parcel()).decode(text.encode())
    assert values is not None
    assert values[1] == 4.5
    assert check(_parcel(), text.encode())


def test_names_may_be_words_of_python() -> None:
    feature = Feature("class", "int", "A number of the class")
    view = replace(TOY.views[0], features=(*TOY.views[0].features, feature))
    use_case = replace(
        TOY, views=(view, *TOY.views[1:]), entity=Entity("client", (Key("lambda", "str", "x"),))
    )
    (request,) = draw_requests(use_case, 1, 1)
    assert RequestDecoder(use_case).decode(json.dumps({"data": request}).encode()) is not None


def test_a_bad_body_of_the_models_is_refused_there() -> None:
    with pytest.raises(ValidationError):
        build_schemas(_parcel()).predict.model_validate({"data": row(weight=51)})
    assert RequestDecoder(_parcel()).decode(json.dumps({"data": row(weight=51)}).encode()) is None
