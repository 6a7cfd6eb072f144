"""Reads the rows of a `{"data": [{...}, ...]}` body one by one, for bodies that are too large for the models.

A body of 96 MB may hold 30 million empty lists, which as Python objects are 2 GB. So the rows are counted
before any of them becomes an object, and parsed one at a time.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar, cast

import msgspec
from pydantic import ValidationError

from evergreen.serving.guard.body_limits import ROW_BYTES
from evergreen.serving.http.error_bodies import Fault
from evergreen.serving.http.first_faults import MOST_FAULTS

_Row = TypeVar("_Row")

# What msgspec raises for bytes that it does not take; RecursionError: too deeply nested.
NOT_TAKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class InvalidBody(Exception):
    """A body with faults, in pydantic's form: `type`, `loc`, `msg`, and maybe `input` and `ctx`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


class UnreadableBody(Exception):
    """A body that is not UTF-8, is too deeply nested, or has a number of too many digits."""


class RowList:
    """The rows of bodies that have one to `most_rows` of them."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        limit = msgspec.Meta(min_length=1, max_length=most_rows)
        body = msgspec.defstruct(
            "RawBody", [("data", Annotated[list[msgspec.Raw], limit])], forbid_unknown_fields=True
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def check_count(self, body: bytes | bytearray) -> None:
        """Raise InvalidBody for a body that has more rows, or rows that are no objects; UnreadableBody for
        one that is too deeply nested."""
        # Each row begins with a brace. Most bodies have no others, so this alone mostly decides.
        if body.count(b"{") > self._most_rows + 1:
            self._count(body)

    def read(self, body: bytes | bytearray, read_row: Callable[[msgspec.Raw], _Row]) -> list[_Row]:
        """What `read_row` returns for each row; it may raise pydantic's ValidationError.

        Raises InvalidBody with the first faults, and UnreadableBody.
        """
        self._count(body)
        raw_rows: list[msgspec.Raw] = _decode(self._decoder, body).data
        rows: list[_Row] = []
        faults: list[Fault] = []
        for position, raw_row in enumerate(raw_rows):
            place: tuple[str | int, ...] = ("body", "data", position)
            if memoryview(raw_row).nbytes > ROW_BYTES:
                message = f"Row should have at most {ROW_BYTES:,} bytes"
                faults.append({"type": "row_too_large", "loc": place, "msg": message})
            else:
                try:
                    rows.append(read_row(raw_row))
                except ValidationError as error:
                    for fault in cast("list[Fault]", error.errors(include_url=False)):
                        faults.append({**fault, "loc": (*place, *fault["loc"])})
            if len(faults) >= MOST_FAULTS:
                break
        if faults:
            raise InvalidBody(faults)
        return rows

    def _count(self, body: bytes | bytearray) -> None:
        """Skim the body, and stop at the first row too many: no row is kept, and none becomes an object."""
        numbers = itertools.count(1)

        def check_number(_: object) -> None:
            if next(numbers) > self._most_rows:
                raise ValueError(f"Expected at most {self._most_rows:,} rows")

        # A type for this body alone, because several threads may skim at once.
        row: Any = msgspec.defstruct("Row", (), namespace={"__post_init__": check_number}, gc=False)
        skimmed = msgspec.defstruct("SkimmedBody", [("data", list[row])], forbid_unknown_fields=True)
        _decode(msgspec.json.Decoder(skimmed), body)


def parse_row(raw_row: msgspec.Raw) -> Any:
    """The JSON of one row, which msgspec's types did not take. Raises UnreadableBody."""
    try:
        return json.loads(bytes(raw_row))
    except (ValueError, RecursionError):
        raise UnreadableBody from None


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes | bytearray) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody([{"type": "body", "loc": ("body",), "msg": str(error)}]) from None
    except (UnicodeDecodeError, RecursionError):
        raise UnreadableBody from None
    except msgspec.MsgspecError as error:
        raise InvalidBody([_build_json_fault(str(error))]) from None


def _build_json_fault(message: str) -> Fault:
    """A fault as pydantic has it of text that is no JSON; msgspec's message ends with the place."""
    reason, _, place = message.partition(" (byte ")
    position = place.rstrip(")")
    location = int(position) if position.isdigit() else 0
    return {"type": "json_invalid", "loc": ("body", location), "msg": "", "ctx": {"error": reason}}
