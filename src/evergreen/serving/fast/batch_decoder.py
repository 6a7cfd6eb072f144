"""Decodes and checks the bodies of `/predict_batch`: the whole body first, before anything is predicted.

A body of many rows never becomes a tree of Python objects: its rows become tuples, and where one is not as
msgspec wants it, rows are checked one by one with the model of `schema.py`, until there are enough faults.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from pydantic import BaseModel, ValidationError

from evergreen.serving.fast.decoder import build_row_type
from evergreen.serving.http.error_bodies import Fault
from evergreen.serving.http.first_faults import MOST_FAULTS
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    # Not when it runs: BentoML's parent process imports this module, and must not load CatBoost.
    from evergreen.model.request_inputs import RequestValues


class InvalidBody(Exception):
    """A body with faults, in pydantic's form: `type`, `loc`, `msg`, and maybe `input` and `ctx`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


class BatchDecoder:
    """Decodes `{"data": [{...}, ...]}` bodies of one use case; `row_model` checks what msgspec refuses."""

    def __init__(self, use_case: UseCase, row_model: type[BaseModel]) -> None:
        limit = msgspec.Meta(min_length=1, max_length=use_case.serving.max_batch)
        row_type: Any = build_row_type(use_case)
        body = msgspec.defstruct(
            "Body", [("data", Annotated[list[row_type], limit])], forbid_unknown_fields=True
        )
        raw_body = msgspec.defstruct(
            "RawBody", [("data", Annotated[list[msgspec.Raw], limit])], forbid_unknown_fields=True
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._raw_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(raw_body)
        self._row_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type)
        self._row_model = row_model
        self._names = tuple(row_model.model_fields)

    def decode(self, body: bytes | bytearray) -> list[RequestValues] | None:
        """The values of the rows; None where they must be checked one by one."""
        try:
            rows = self._decoder.decode(body).data
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return [msgspec.structs.astuple(row) for row in rows]

    def check_rows(self, body: bytes | bytearray) -> list[RequestValues]:
        """The same, row by row. Raises InvalidBody with the first faults."""
        try:
            raw_rows: list[msgspec.Raw] = self._raw_decoder.decode(body).data
        except msgspec.ValidationError as error:
            raise InvalidBody([{"type": "body", "loc": ("body",), "msg": str(error)}]) from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidBody([_build_json_fault(str(error))]) from None
        rows: list[RequestValues] = []
        faults: list[Fault] = []
        for position, raw_row in enumerate(raw_rows):
            try:
                rows.append(self._check_row(raw_row))
            except ValidationError as error:
                for fault in cast("list[Fault]", error.errors(include_url=False)):
                    faults.append({**fault, "loc": ("body", "data", position, *fault["loc"])})
                if len(faults) >= MOST_FAULTS:
                    break
        if faults:
            raise InvalidBody(faults)
        return rows

    def _check_row(self, raw_row: msgspec.Raw) -> RequestValues:
        try:
            return msgspec.structs.astuple(self._row_decoder.decode(raw_row))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            row = self._row_model.model_validate(json.loads(bytes(raw_row)))
            return tuple([getattr(row, name) for name in self._names])


def _build_json_fault(message: str) -> Fault:
    """A fault as pydantic has it of text that is no JSON; msgspec's message ends with the place."""
    reason, _, place = message.partition(" (byte ")
    position = place.rstrip(")")
    location = int(position) if position.isdigit() else 0
    return {"type": "json_invalid", "loc": ("body", location), "msg": "", "ctx": {"error": reason}}
