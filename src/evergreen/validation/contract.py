"""The data contract of a part (a feature view, or the label), applied to a frame in memory.

For small data; an ingest gives its batches to `checker.Checker`.
"""

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
    """The clean rows of one part, as the store takes them, and the report on all rows.

    `raw` has the source's columns and any types. The clean frame has the keys (int64 or objects of str),
    `event_time` (datetime64[us, UTC]; 1970-01-01 for a timeless part) and the part's features (float64 with
    NaN, objects of str or None) or the label, which is never missing: a row without one is not yet labelled
    and is left out. Exact repetitions of a row are left out too. The report has a warning of both.

    The frame may only be loaded when the report is `ok`; otherwise it is empty.
    """
    checker = Checker(use_case, part)
    frame = _clean_frame(checker, use_case, raw)
    rows = len(frame)
    frame, failures = _drop_duplicates(frame, [*use_case.entity.key_names, EVENT_TIME])
    report = checker.finish(failures, left_out=rows - len(frame))
    return (frame if report.ok else frame.iloc[:0]), report


def validate_rows(
    use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame
) -> tuple[pd.DataFrame, list[RejectedRow], Report]:
    """Checks each row of one part by itself: the clean rows, the rejected ones, and the report.

    The clean frame is that of `validate_part`, but keys may repeat; its index has the rows' positions in
    `raw`. Where `raw` lacks a column no row is judged: no row is clean, none is rejected, and the report
    names the column.
    """
    # Rejected rows are kept with their reasons only where the contract allows a share of them.
    contract = replace(part.contract, max_rejected_share=1.0)
    checker = Checker(use_case, replace(part, contract=contract))
    frame = _clean_frame(checker, use_case, raw)
    rejected_rows = checker.take_rejected()
    if len(frame) + len(rejected_rows) == len(raw):
        frame.index = pd.Index(np.delete(np.arange(len(raw)), [row.row - 1 for row in rejected_rows]))
    return frame, rejected_rows, checker.report_rows()


def extract_readable_values(use_case: UseCase, part: FeatureView | Label, raw: pd.DataFrame) -> pd.DataFrame:
    """The values of rejected rows that have their declared type: keys, then features or the label, with the
    index of `raw`. Other values are missing, in whole-number keys as pandas' NA."""
    columns: dict[str, np.ndarray | pd.api.extensions.ExtensionArray] = {}
    for name, declaration in list_declared_columns(use_case, part).items():
        values = cast_column(_to_values(raw[declaration.source_column]), declaration).values
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
    """An Arrow array where Arrow can hold the column; otherwise its objects as they are."""
    if column.dtype != object:
        values = pa.Array.from_pandas(column)
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    objects = column.to_numpy()
    try:
        values = pa.array(objects, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return objects
    # In a column of texts and bytes Arrow makes bytes of the texts.
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
    """The frame without exact repetitions, and the failures: repetitions, and rows of one key and event time
    (the columns `identity`) that differ."""
    distinct = frame.drop_duplicates(ignore_index=True)
    failures = []
    if len(distinct) < len(frame):
        failures.append(build_duplicate_failure(identity, len(frame) - len(distinct), differing=False))
    conflicts = distinct[distinct.duplicated(identity, keep=False)]
    if len(conflicts):
        keys = conflicts[identity].drop_duplicates().head(_EXAMPLES).itertuples(index=False, name=None)
        examples = [" ".join(map(str, key)) for key in keys]
        failures.append(build_duplicate_failure(identity, len(conflicts), examples, differing=True))
    return distinct, failures
