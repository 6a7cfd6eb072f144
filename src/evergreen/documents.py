"""JSON documents of dataclasses: written by the names of their fields, read by the types of them.

A document may be older or newer than the class: a field that it lacks takes its default, and one that the
class lacks is left out. A moment is ISO 8601 text with its offset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What `json.dumps` takes.
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = dict[str, Json]

_Value = TypeVar("_Value")


def write_document(value: DataclassInstance) -> JsonObject:
    """The fields of a dataclass by their names, as JSON has them.

    Sequences become lists, dates and moments ISO 8601 text. A number that is not finite, which JSON does not
    have, becomes null: a field that may hold one is to be `float | None`, or its document cannot be read.
    Raises TypeError for a value that JSON does not have.
    """
    return {field.name: _write_value(getattr(value, field.name)) for field in fields(value)}


def read_document(kind: type[_Value], document: object) -> _Value:
    """The value of that type that `write_document` wrote, in this version or another one.

    Raises ValueError, with the path to the field, where the document is none of it.
    """
    return msgspec.convert(document, kind)


def _write_value(value: object) -> Json:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return write_document(value)
    if isinstance(value, Mapping):
        return {str(name): _write_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_write_value(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"JSON has no {type(value).__name__}")
