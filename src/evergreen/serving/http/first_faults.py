"""Validation that ends soon after the first faults, so that a bad body costs no more than a good one.

Pydantic finds every fault of a body: 50,000 in a batch of 10,000 rows with five unknown fields. An answer
names the first 20, in the order of the body. So a batch is searched row by row only until there are so many,
and of a row with very many unknown fields only some are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

MOST_FAULTS = 20
# Below so many, to find all of them costs little.
_FEW = 200
_KNOWN_KINDS = frozenset(get_args(core_schema.ErrorType))


def build_row_search(model: type[BaseModel]) -> WrapValidator:
    """What goes around a list of rows with `Field(fail_fast=True)`: where the list fails, its rows are
    validated one by one from the first bad one on, until there are `MOST_FAULTS` faults."""

    def _find_first_faults(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            if not first["loc"] or not isinstance(first["loc"][0], int):
                raise
            faults = _collect_faults(model, value, first["loc"][0])
            raise ValidationError.from_exception_data(error.title, faults) from None

    return WrapValidator(_find_first_faults)


def limit_unknown_fields(
    model: type[BaseModel], value: Any, validate: ModelWrapValidatorHandler[BaseModel]
) -> BaseModel:
    """A model's wrap validator: faults of very many unknown fields are found for the first of them only."""
    try:
        return validate(value)
    except ValidationError as error:
        if error.error_count() > _FEW and isinstance(value, dict):
            validate(_drop_unknown_fields(model, value))
        raise


def _collect_faults(model: type[BaseModel], rows: Any, start: int) -> list[InitErrorDetails]:
    faults: list[InitErrorDetails] = []
    for position in range(start, len(rows)):
        try:
            model.model_validate(rows[position])
        except ValidationError as error:
            faults += [_repeat_fault(fault, position) for fault in error.errors(include_url=False)]
            if len(faults) >= MOST_FAULTS:
                break
    return faults


def _repeat_fault(fault: Mapping[str, Any], position: int) -> InitErrorDetails:
    kind: str | PydanticCustomError = fault["type"]
    if kind not in _KNOWN_KINDS:
        kind = PydanticCustomError(fault["type"], fault["msg"].replace("{", "{{").replace("}", "}}"))
    repeated: InitErrorDetails = {
        "type": kind,
        "loc": (position, *fault["loc"]),
        "input": fault["input"],
    }
    if "ctx" in fault:
        repeated["ctx"] = fault["ctx"]
    return repeated


def _drop_unknown_fields(model: type[BaseModel], value: dict[str, Any]) -> dict[str, Any]:
    """The value's known fields, and the first unknown ones."""
    remaining = MOST_FAULTS + 1
    kept = {}
    for name, each in value.items():
        if name not in model.model_fields:
            if not remaining:
                continue
            remaining -= 1
        kept[name] = each
    return kept
