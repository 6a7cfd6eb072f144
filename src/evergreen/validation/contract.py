"""The data contract that follows from a declaration, applied to a frame in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.usecase import EVENT_TIME, FeatureView, Label, UseCase
from evergreen.validation.casting import Values
from evergreen.validation.checker import Checker, RejectedRow
from evergreen.validation.part_columns import cast_column, list_declared_columns
from evergreen.validation.report import Failure, Report, build_duplicate_failure

_EXAMPLES = 10


def validate_part(
    use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame
) -> tuple[pd.DataFrame, Report]:
    """The rows of one part as the store takes them, and what is wrong with them as a whole.

    `raw` has the source's columns and any types. The clean frame has the keys (int64 or objects of str),
    `event_time` (datetime64[us, UTC]; 1970-01-01 for a timeless part) and the part's features (float64 with
    NaN, objects of str or None) or the label, which is never missing: a row without one is not yet labelled
    and is left out. Exact repetitions of a row are left out too; both are told as warnings.

    The frame may only be loaded when the report is `ok`; otherwise it is empty.
    """
    checker = Checker(use_case, part)
    frame = _clean_frame(checker, use_case, raw)
    rows = len(frame)
    frame, found = _drop_duplicates(frame, [*use_case.entity.key_names, EVENT_TIME])
    report = checker.finish(found, left_out=rows - len(frame))
    return (frame if report.ok else frame.iloc[:0]), report


def validate_rows(
    use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame
) -> tuple[pd.DataFrame, list[RejectedRow], Report]:
    """Each row of one part by itself: the clean ones, the refused ones, and the report on why.

    The clean frame is that of `validate_part`, but keys may repeat; its index has the rows' positions in
    `raw`. Where `raw` lacks a column no row is judged: no row is clean and none refused, and the report says
    why.
    """
    # A contract that bears any share of rejected rows keeps each of them with its reasons.
    contract = replace(part.contract, max_rejected_share=1.0)
    checker = Checker(use_case, replace(part, contract=contract))
    frame = _clean_frame(checker, use_case, raw)
    rejected = checker.take_rejected()
    if len(frame) + len(rejected) == len(raw):
        frame.index = pd.Index(np.delete(np.arange(len(raw)), [row.row - 1 for row in rejected]))
    return frame, rejected, checker.report_rows()


def extract_readable_values(use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame) -> pd.DataFrame:
    """What can be read of rows that `validate_rows` refused: keys, then features or the label, with the index
    of `raw`; what is not of its declared type is missing, in whole-number keys as pandas' NA."""
    columns: dict[str, object] = {}
    for name, what in list_declared_columns(use_case, part).items():
        values = cast_column(_to_values(raw[what.source_column]), what).values
        if pa.types.is_string(values.type):
            columns[name] = np.array(values.to_pylist(), dtype=object)
        elif name in use_case.entity.key_names:
            columns[name] = pd.array(values.to_pylist(), dtype="Int64")
        else:
            columns[name] = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return pd.DataFrame(columns, index=raw.index)


def _clean_frame(checker: Checker, use_case: UseCase, raw: pd.DataFrame) -> pd.DataFrame:
    present = [str(column) for column in raw.columns]
    columns = {name: _to_values(raw[name]) for name in checker.sources if name in raw.columns}
    return _to_frame(checker.clean_columns(columns, len(raw), present), use_case)


def _to_values(column: pd.Series) -> Values:
    """Arrow where it can hold the column; otherwise its objects as they are."""
    if column.dtype != object:
        values = pa.Array.from_pandas(column)
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    objects = column.to_numpy()
    try:
        values = pa.array(objects, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return objects
    # Among bytes Arrow takes a text for bytes.
    return objects if pa.types.is_binary(values.type) else values


def _to_frame(clean: pa.Table, use_case: UseCase) -> pd.DataFrame:
    keys = set(use_case.entity.key_names)
    columns: dict[str, pd.Series] = {}
    for name in clean.column_names:
        values = clean[name].to_numpy()
        if name == EVENT_TIME:
            columns[name] = pd.Series(values.astype("datetime64[us]")).dt.tz_localize("UTC")
        elif pa.types.is_string(clean.schema.field(name).type):
            columns[name] = pd.Series(values, dtype=object)
        else:
            columns[name] = pd.Series(values.astype(np.int64 if name in keys else np.float64))
    return pd.DataFrame(columns)


def _drop_duplicates(frame: pd.DataFrame, identity: list[str]) -> tuple[pd.DataFrame, list[Failure]]:
    """Without exact repetitions; rows of one key and time that differ are a failure."""
    once = frame.drop_duplicates(ignore_index=True)
    found = []
    if len(once) < len(frame):
        found.append(build_duplicate_failure(identity, len(frame) - len(once), differing=False))
    twice = once[once.duplicated(identity, keep=False)]
    if len(twice):
        keys = twice[identity].drop_duplicates().head(_EXAMPLES).itertuples(index=False, name=None)
        examples = [" ".join(map(str, key)) for key in keys]
        found.append(build_duplicate_failure(identity, len(twice), examples, differing=True))
    return once, found
