"""Keys as people type them, and what a vector looks like to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from evergreen.errors import InvalidRequest, UseCaseError
from evergreen.store.online.vectors import OnlineVector
from evergreen.usecase import Entity, FeatureSet, Key, UseCase
from evergreen.workbench import online_lookup
from evergreen.workbench.online_lookup import look_up_features, parse_key

ENGINE = sa.create_engine("sqlite://")
VECTOR: dict[str, Any] = {
    "weight": 30.0,
    "volume": 60.0,
    "stops": 3,
    "carrier": "van",
    "depot": None,
    "temperature": None,
    "note": None,
}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(engine: sa.Engine, use_case: UseCase, keys: Sequence[Any]) -> dict[Any, OnlineVector]:
        return {key: OnlineVector(VECTOR, (), ("shipment",)) for key in keys if key[0] == 1}

    monkeypatch.setattr(online_lookup, "read_online_vectors", read)


def test_a_key_is_a_value_or_named(parcel: UseCase) -> None:
    assert parse_key(parcel, "17") == parse_key(parcel, "parcel_id=17") == (17,)
    two = replace(parcel, entity=Entity("parcel", (Key("shop", "str", "s"), Key("number", "int", "n"))))
    assert parse_key(two, "number=-3,shop=a b") == ("a b", -3)


@pytest.mark.parametrize("text", ["", "x", "1.0", "parcel_id=", "parcel=1"])
def test_what_is_no_key_is_told(parcel: UseCase, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_key(parcel, text)
    assert "parcel_id=VALUE" in caught.value.hint


@pytest.mark.parametrize("text", ["17", "shop=a", "shop=a,number=1,more=2", "shop=a,number=x"])
def test_every_part_of_a_key_is_needed(parcel: UseCase, text: str) -> None:
    two = replace(parcel, entity=Entity("parcel", (Key("shop", "str", "s"), Key("number", "int", "n"))))
    with pytest.raises(InvalidRequest):
        parse_key(two, text)


@pytest.mark.usefixtures("store")
def test_features_are_shown_as_the_model_sees_them(parcel: UseCase) -> None:
    known, unknown = look_up_features(ENGINE, parcel, [(1,), (2,)])
    assert known.features == {**VECTOR, "density": 0.5, "heavy": "van"}
    assert known.stale_views == ("shipment",)
    assert (unknown.known, unknown.features) == (False, {})
    assert known.to_json()["key"] == {"parcel_id": 1}


@pytest.mark.usefixtures("store")
def test_a_feature_set_has_its_own_order(parcel: UseCase) -> None:
    use_case = replace(parcel, feature_sets=(FeatureSet("few", ("density", "stops"), "A few."),))
    (row,) = look_up_features(ENGINE, use_case, [(1,)], "few")
    assert list(row.features.items()) == [("density", 0.5), ("stops", 3)]
    with pytest.raises(UseCaseError, match="no feature set 'many'") as caught:
        look_up_features(ENGINE, use_case, [(1,)], "many")
    assert "few" in caught.value.hint
