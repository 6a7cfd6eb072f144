"""Decodes and checks the bodies of `/predict_batch`: the whole body first, before anything is predicted.

A body of many rows never becomes a tree of Python objects: its rows become tuples, and where one is not as
msgspec wants it, rows are checked one by one with the model of `schema.py`, until there are enough faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import BaseModel

from evergreen.serving.fast.decoder import build_row_type
from evergreen.serving.fast.row_list import NOT_TAKEN, RowList, parse_row
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    # Not when it runs: BentoML's parent process imports this module, and must not load CatBoost.
    from evergreen.model.request_inputs import RequestValues


class BatchDecoder:
    """Decodes `{"data": [{...}, ...]}` bodies of one use case; `row_model` checks what msgspec refuses."""

    def __init__(self, use_case: UseCase, row_model: type[BaseModel]) -> None:
        most_rows = use_case.serving.max_batch
        row_type: Any = build_row_type(use_case)
        limit = msgspec.Meta(min_length=1, max_length=most_rows)
        body = msgspec.defstruct(
            "Body", [("data", Annotated[list[row_type], limit])], forbid_unknown_fields=True
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._row_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type)
        self._rows = RowList(most_rows)
        self._row_model = row_model
        self._names = tuple(row_model.model_fields)

    def decode(self, body: bytes | bytearray) -> list[RequestValues] | None:
        """The values of the rows; None where they must be checked one by one."""
        try:
            rows = self._decoder.decode(body).data
        except NOT_TAKEN:
            return None
        return [msgspec.structs.astuple(row) for row in rows]

    def check_count(self, body: bytes | bytearray) -> None:
        """Raise InvalidBody for a body of too many rows, and UnreadableBody, in little memory.

        `decode` compares their number when it has read all: where every feature may be missing, {} is a row.
        """
        self._rows.check_count(body)

    def check_rows(self, body: bytes | bytearray) -> list[RequestValues]:
        """The same, row by row. Raises InvalidBody with the first faults, and UnreadableBody."""
        return self._rows.read(body, self._check_row)

    def _check_row(self, raw_row: msgspec.Raw) -> RequestValues:
        try:
            return msgspec.structs.astuple(self._row_decoder.decode(raw_row))
        except NOT_TAKEN:
            row = self._row_model.model_validate(parse_row(raw_row))
            return tuple([getattr(row, name) for name in self._names])
