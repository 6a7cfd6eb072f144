"""The columns of a part (a feature view, or the label): their names in the source, and their declared types.

A raw column has the name and type of the source; a clean one the name and Arrow type that follow from the
declaration.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import pyarrow as pa

from evergreen.usecase import EVENT_TIME, LABEL, Feature, FeatureView, Key, Label, UseCase
from evergreen.validation.casting import TIMESTAMP_TYPE, CastResult, Values, cast_values, to_number, to_text
from evergreen.validation.report import Failure, build_failure

Part = FeatureView | Label
DeclaredColumn = Key | Feature | Label


def get_part_name(part: Part) -> str:
    """The view's name, or "label"."""
    return LABEL if isinstance(part, Label) else part.name


def list_declared_columns(use_case: UseCase, part: Part) -> dict[str, DeclaredColumn]:
    """The keys, then the part's features or the label, by name."""
    columns: list[DeclaredColumn] = [*use_case.entity.keys, *_list_own_columns(part)]
    return {column.name: column for column in columns}


def list_source_columns(use_case: UseCase, part: Part) -> tuple[str, ...]:
    """The names of the columns that the source must have, each once."""
    names = [column.source_column for column in list_declared_columns(use_case, part).values()]
    return tuple(dict.fromkeys([*names, *([part.event_time] if part.event_time is not None else [])]))


def build_clean_schema(use_case: UseCase, part: Part) -> pa.Schema:
    """The Arrow schema of a clean batch: keys, event time, then the part's features or the label."""
    fields = [pa.field(key.name, _get_arrow_type(key)) for key in use_case.entity.keys]
    fields.append(pa.field(EVENT_TIME, TIMESTAMP_TYPE))
    return pa.schema(
        [*fields, *(pa.field(column.name, _get_arrow_type(column)) for column in _list_own_columns(part))]
    )


def cast_column(values: Values, declaration: DeclaredColumn) -> CastResult:
    """A raw column as the declared type, with the values that cannot be cast; see `casting`."""
    if isinstance(declaration, Label):
        return to_text(values, "category") if declaration.classes else to_number(values, whole=False)
    return cast_values(values, declaration.dtype)


def build_missing_column_failure(column: str, present: Iterable[str], rows: int) -> Failure:
    """The failure of a column that `rows` rows lack; it names the most similar one of those `present`."""
    names = list(present)
    same_letters = [name for name in names if name.lower() == column.lower()]
    suggestions = same_letters or difflib.get_close_matches(column, names, n=1)
    advice = f"; did you mean {suggestions[0]!r}?" if suggestions else ""
    return build_failure(column, f"the source has no such column{advice}", rows)


def _list_own_columns(part: Part) -> tuple[Feature | Label, ...]:
    return part.features if isinstance(part, FeatureView) else (part,)


def _get_arrow_type(declaration: DeclaredColumn) -> pa.DataType:
    if isinstance(declaration, Label):
        return pa.string() if declaration.classes else pa.float64()
    return {"int": pa.int64(), "float": pa.float64()}.get(declaration.dtype, pa.string())
