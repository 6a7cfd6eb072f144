"""Which columns a part is made of: what its source calls them, and what is declared of each."""

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
    return LABEL if isinstance(part, Label) else part.name


def list_declared_columns(use_case: UseCase, part: Part) -> dict[str, DeclaredColumn]:
    """Keys, then features or the label, by name."""
    found: list[DeclaredColumn] = [*use_case.entity.keys]
    found += part.features if isinstance(part, FeatureView) else [part]
    return {what.name: what for what in found}


def list_source_columns(use_case: UseCase, part: Part) -> tuple[str, ...]:
    """The columns that the source must have, each once."""
    columns = [what.source_column for what in list_declared_columns(use_case, part).values()]
    return tuple(dict.fromkeys([*columns, *([part.event_time] if part.event_time is not None else [])]))


def build_clean_schema(use_case: UseCase, part: Part) -> pa.Schema:
    """The columns of a clean batch: keys, event time, then the part's own."""
    fields = [pa.field(key.name, _get_arrow_type(key)) for key in use_case.entity.keys]
    fields.append(pa.field(EVENT_TIME, TIMESTAMP_TYPE))
    own = part.features if isinstance(part, FeatureView) else (part,)
    return pa.schema([*fields, *(pa.field(what.name, _get_arrow_type(what)) for what in own)])


def cast_column(values: Values, what: DeclaredColumn) -> CastResult:
    """A raw column as declared; see `casting`."""
    if isinstance(what, Label):
        return to_text(values, "category") if what.classes else to_number(values, whole=False)
    return cast_values(values, what.dtype)


def build_missing_column_failure(column: str, present: Iterable[str], rows: int) -> Failure:
    """What to say of a column that `rows` rows lack, with the nearest name among those present."""
    names = list(present)
    by_case = [name for name in names if name.lower() == column.lower()]
    near = by_case or difflib.get_close_matches(column, names, n=1)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    return build_failure(column, f"the source has no such column{advice}", rows)


def _get_arrow_type(what: DeclaredColumn) -> pa.DataType:
    if isinstance(what, Label):
        return pa.string() if what.classes else pa.float64()
    return {"int": pa.int64(), "float": pa.float64()}.get(what.dtype, pa.string())
