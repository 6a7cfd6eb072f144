"""Decodes and checks the bodies of `/predict` and `/predict_by_key` in one pass, for bodies that are right.

msgspec does it in a fraction of pydantic's time. It refuses some bodies that the contract allows, such as
30.0 for a whole number; so a refusal only means that the body must be checked with the models of `schema.py`,
which decide and word what is wrong. It accepts nothing that they refuse, and reads the same values, which a
test compares.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from evergreen.serving.fast.row_list import NOT_TAKEN
from evergreen.serving.http.schema import CATEGORY_CHARACTERS, KEY_CHARACTERS, TEXT_CHARACTERS
from evergreen.usecase import Feature, Key, UseCase

if TYPE_CHECKING:
    # Not when it runs: BentoML's parent process imports this module, and must not load CatBoost.
    from evergreen.model.request_inputs import RequestValues

_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class _FieldType:
    type: Any
    is_optional: bool


class RequestDecoder:
    """Decodes `{"data": {...}}` bodies of one use case."""

    def __init__(self, use_case: UseCase) -> None:
        row = build_row_type(use_case)
        body = msgspec.defstruct("Body", [("data", row)], forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> RequestValues | None:
        """The values of the row; None where the models must check the body."""
        values: RequestValues | None = _decode_data(self._decoder, body)
        return values


def build_row_type(use_case: UseCase) -> type[msgspec.Struct]:
    """The type of a request row, with the fields of `list_logged_names` in their order."""
    fields = {key.name: _FieldType(_build_key_type(key), True) for key in use_case.entity.keys}
    for feature in use_case.stored_features:
        is_optional = feature.nullable or not feature.strict
        fields[feature.name] = _FieldType(_build_feature_type(feature), is_optional)
    return _define_row(fields)


class KeyDecoder:
    """Decodes `{"data": {...}}` bodies of one key."""

    def __init__(self, use_case: UseCase) -> None:
        row = _define_row({key.name: _FieldType(_build_key_type(key), False) for key in use_case.entity.keys})
        body = msgspec.defstruct("Body", [("data", row)], forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> tuple[str | int, ...] | None:
        """The key; None where the models must check the body."""
        key: tuple[str | int, ...] | None = _decode_data(self._decoder, body)
        return key


def _decode_data(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return msgspec.structs.astuple(decoder.decode(body).data)
    except NOT_TAKEN:
        return None


def _define_row(fields: Mapping[str, _FieldType]) -> type[msgspec.Struct]:
    # Numbered attributes, because a declared name may be no name of an attribute in Python.
    attributes = {f"f{number}": name for number, name in enumerate(fields)}
    definitions: list[Any] = []
    for attribute, name in attributes.items():
        field = fields[name]
        definitions.append(
            (attribute, field.type | None, None) if field.is_optional else (attribute, field.type)
        )
    return msgspec.defstruct(
        "Row", definitions, rename=attributes, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _build_key_type(key: Key) -> Any:
    if key.dtype == "int":
        return Annotated[int, msgspec.Meta(ge=_LEAST_INTEGER, le=_GREATEST_INTEGER)]
    return Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS)]


def _build_feature_type(feature: Feature) -> Any:
    """The type that a value must have; with severity "error" its domain is part of it."""
    minimum = feature.minimum if feature.strict else None
    maximum = feature.maximum if feature.strict else None
    if feature.dtype == "int":
        low = _LEAST_INTEGER if minimum is None else max(_LEAST_INTEGER, math.ceil(minimum))
        high = _GREATEST_INTEGER if maximum is None else min(_GREATEST_INTEGER, math.floor(maximum))
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if feature.dtype == "float":
        # JSON has no number beyond these.
        return Annotated[
            float,
            msgspec.Meta(
                ge=-sys.float_info.max if minimum is None else float(minimum),
                le=sys.float_info.max if maximum is None else float(maximum),
            ),
        ]
    if feature.allowed and feature.strict:
        return Literal[tuple(feature.allowed)]
    length = CATEGORY_CHARACTERS if feature.dtype == "category" else TEXT_CHARACTERS
    return Annotated[str, msgspec.Meta(min_length=1, max_length=length)]
