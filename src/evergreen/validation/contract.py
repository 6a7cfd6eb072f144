"""The data contract that follows from a declaration, checked by pandera."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evergreen.usecase import (
    EVENT_TIME,
    KEY_CHARACTERS,
    TIMELESS,
    Feature,
    FeatureView,
    Key,
    Label,
    UseCase,
)
from evergreen.validation.casting import cast, to_moment, to_number, to_text
from evergreen.validation.report import Failure, Report, failure

if TYPE_CHECKING:
    import pandera.pandas as pa

# How many standard deviations above its declared share a batch's missing values may lie: a small batch of
# sound data easily has 2 of 10 missing where 15 % are usual.
_TOLERANCE = 3.0


def validate(
    use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame, *, distinct: bool = True
) -> tuple[pd.DataFrame, Report]:
    """The rows of one part as the store takes them, and what is wrong with them.

    `raw` has the source's columns and any types. The clean frame has the keys (int64 or objects of str),
    `event_time` (datetime64[us, UTC]; 1970-01-01 for a timeless part) and the part's features (float64 with
    NaN, objects of str or None) or the label, which is never missing: a row without one is not yet labelled
    and is left out. Exact repetitions of a row are left out too; both are told as warnings. Without
    `distinct` keys may repeat, and a view's clean frame has the rows of `raw` in their order.

    The frame may only be loaded when the report is `ok`; otherwise it is empty.
    """
    wanted = _columns(use_case, part)
    failures = _missing_columns(wanted, part, raw)
    rows = len(raw)
    if isinstance(part, Label) and part.source_column in raw:
        raw, found = _labelled(raw, part)
        failures += found
    raw = raw.reset_index(drop=True)
    frame = pd.DataFrame(index=raw.index)
    for name, (column, what) in wanted.items():
        if column in raw.columns:
            frame[name], found = _cast(raw[column], name, what)
            failures += found
    frame[EVENT_TIME], found = _event_time(part, raw)
    failures += found
    if len(frame):
        failures += _checked(frame, wanted, lost=failures)
    if distinct and all(key.name in frame for key in use_case.entity.keys):
        frame, found = _distinct(frame, [*use_case.entity.key_names, EVENT_TIME])
        failures += found
    sound = not any(found.severity == "error" for found in failures)
    clean = _finished(frame, use_case, list(wanted)) if sound else frame.iloc[:0]
    part_name = "label" if isinstance(part, Label) else part.name
    return clean, Report(use_case.name, part_name, rows, len(clean), tuple(failures))


Declared = Key | Feature | Label


def _columns(use_case: UseCase, part: FeatureView | Label) -> dict[str, tuple[str, Declared]]:
    """By name: the source's column, and what is declared of it."""
    declared: list[Declared] = [*use_case.entity.keys]
    declared += part.features if isinstance(part, FeatureView) else [part]
    return {what.name: (what.source_column, what) for what in declared}


def _missing_columns(
    wanted: dict[str, tuple[str, Declared]], part: FeatureView | Label, raw: pd.DataFrame
) -> list[Failure]:
    columns = [column for column, _ in wanted.values()]
    if part.event_time is not None:
        columns.append(part.event_time)
    present = [str(column) for column in raw.columns]
    failures = []
    for column in columns:
        if column not in present:
            by_case = [name for name in present if name.lower() == column.lower()]
            near = by_case or difflib.get_close_matches(column, present, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            failures.append(failure(column, f"the source has no such column{advice}", len(raw)))
    return failures


def _cast(values: pd.Series, name: str, what: Declared) -> tuple[pd.Series, list[Failure]]:
    if isinstance(what, Label):
        return to_text(values, name, "category") if what.classes else to_number(values, name, whole=False)
    return cast(values, what.dtype, name)


def _event_time(part: FeatureView | Label, raw: pd.DataFrame) -> tuple[pd.Series, list[Failure]]:
    if part.event_time is None:
        return pd.Series(pd.Timestamp(TIMELESS), index=raw.index, dtype="datetime64[us, UTC]"), []
    if part.event_time not in raw.columns:
        return pd.Series(pd.NaT, index=raw.index, dtype="datetime64[us, UTC]"), []
    return to_moment(raw[part.event_time], part.event_time)


def _labelled(raw: pd.DataFrame, label: Label) -> tuple[pd.DataFrame, list[Failure]]:
    """Without the rows whose label is not known yet, whatever else they hold or lack."""
    values, faults = _cast(raw[label.source_column], label.name, label)
    unknown = values.isna()
    if faults or not unknown.any():
        return raw, []
    note = failure(label.name, "is not known yet (left out)", unknown.sum(), severity="warning")
    return raw[~unknown], [note]


def _distinct(frame: pd.DataFrame, identity: list[str]) -> tuple[pd.DataFrame, list[Failure]]:
    """Without exact repetitions; rows of one key and time that differ are a failure."""
    once = frame.drop_duplicates()
    failures = []
    if len(once) < len(frame):
        note = "repeats another row exactly (left out)"
        failures.append(failure(", ".join(identity), note, len(frame) - len(once), severity="warning"))
    complete = once[once[identity].notna().all(axis=1)]
    twice = complete[complete.duplicated(identity, keep=False)]
    if len(twice):
        examples = twice[identity].drop_duplicates().head(10).itertuples(index=False, name=None)
        shown = [" ".join(map(_shown, key)) for key in examples]
        failures.append(
            failure(", ".join(identity), "stands in rows that differ (duplicate key)", len(twice), shown)
        )
    return once, failures


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _finished(frame: pd.DataFrame, use_case: UseCase, names: list[str]) -> pd.DataFrame:
    integers = {key.name: np.int64 for key in use_case.entity.keys if key.dtype == "int"}
    keys = list(use_case.entity.key_names)
    order = [*keys, EVENT_TIME, *(name for name in names if name not in keys)]
    return frame[order].astype(integers).reset_index(drop=True)


def _checked(
    frame: pd.DataFrame, wanted: dict[str, tuple[str, Declared]], lost: list[Failure]
) -> list[Failure]:
    """What pandera finds, one Failure per column and check. `lost`: the values that no cast could save."""
    import pandera.pandas as pa

    schema = pa.DataFrameSchema(
        {name: _schema(what, len(frame)) for name, (_, what) in wanted.items() if name in frame}
    )
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        failures = []
        for (column, check), group in cases.groupby(["column", "check"], sort=False):
            values = group["failure_case"]
            if str(check) == "not_nullable":
                without = len(group) - sum(found.count for found in lost if found.column == column)
                if without > 0:
                    failures.append(failure(str(column), "has no value", without))
            elif str(check).startswith("more than"):
                failures.append(failure(str(column), str(check), int(frame[column].isna().sum())))
            else:
                failures.append(failure(str(column), str(check), len(group), values))
        return failures
    return []


def _schema(what: Declared, rows: int) -> pa.Column:
    import pandera.pandas as pa

    checks: list[Any] = []
    nullable = False
    if isinstance(what, Feature):
        nullable = what.nullable
        if what.minimum is not None:
            checks.append(pa.Check.ge(what.minimum, error=f"is less than {what.minimum:g}"))
        if what.maximum is not None:
            checks.append(pa.Check.le(what.maximum, error=f"is more than {what.maximum:g}"))
        if what.allowed:
            checks.append(pa.Check.isin(what.allowed, error=_not_among(what.allowed)))
        if nullable:
            checks.append(_null_share(what.max_null_share, rows))
    elif isinstance(what, Label):
        nullable = True  # those not known yet are left out before
        if what.classes:
            checks.append(pa.Check.isin(what.classes, error=_not_among(what.classes)))
    elif what.dtype == "text":
        checks.append(pa.Check.str_length(1, KEY_CHARACTERS, error=f"is longer than {KEY_CHARACTERS}"))
    return pa.Column(None, checks=checks, nullable=nullable)


def _null_share(share: float, rows: int) -> Any:
    import pandera.pandas as pa

    limit = share * rows + _TOLERANCE * (rows * share * (1 - share)) ** 0.5
    return pa.Check(
        lambda values: bool(values.isna().sum() <= limit),
        ignore_na=False,
        error=f"more than {share:.0%} have no value",
    )


def _not_among(allowed: tuple[str, ...]) -> str:
    shown = ", ".join(allowed[:8]) + (f" and {len(allowed) - 8} more" if len(allowed) > 8 else "")
    return f"is not one of {shown}"
