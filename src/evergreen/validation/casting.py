"""Casts a source's columns to the declared types, in Arrow.

A value that cannot be cast becomes missing, and a Fault says where and why. `object_casting` does the same
for Python objects one at a time, where Arrow cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import CATEGORY_CHARACTERS, TEXT_BYTES, DType
from evergreen.validation import object_casting

# From here on a float64 does not distinguish neighbouring integers: 2^53 may have been 2^53 + 1.
WHOLE_LIMIT = 2**53
TIMESTAMP_TYPE = pa.timestamp("us", "UTC")

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NO_NUMBER = pa.array(object_casting.NO_NUMBER)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# The years 1 to 9999, in seconds since 1970: the first second, and the first one after them.
_FIRST_SECOND, _END_SECOND = -62_135_596_800, 253_402_300_800

# One column of a batch: an Arrow array, or an object array for a mixture of types that Arrow cannot hold.
Values: TypeAlias = pa.Array | np.ndarray


@dataclass(frozen=True)
class Fault:
    """A check that the values in `rows` (positions in the batch, int64) broke."""

    check: str
    rows: np.ndarray


@dataclass(frozen=True)
class CastResult:
    """A column of the declared type, null where a value is missing or at fault."""

    values: pa.Array
    faults: tuple[Fault, ...] = ()


def cast_values(values: Values, dtype: DType) -> CastResult:
    """A column as int64, float64 or (category and text) string."""
    return to_number(values, whole=dtype == "int") if dtype in ("int", "float") else to_text(values, dtype)


def to_number(values: Values, *, whole: bool) -> CastResult:
    """A column as float64, or int64 if `whole`.

    Texts that are not numbers and infinities are at fault; if `whole`, so are fractions and numbers of 2^53
    and more, which a float64 does not hold exactly.
    """
    numbers, not_numbers = _to_floats(values)
    missing = np.isnan(numbers)
    faults = [Fault("is not a number", np.flatnonzero(not_numbers))] if not_numbers.any() else []
    with np.errstate(invalid="ignore"):
        checks = {"is infinite": np.isinf(numbers)}
        if whole:
            checks["is not a whole number"] = (numbers != np.trunc(numbers)) & ~missing
            checks["is 2^53 or more"] = (np.abs(numbers) >= WHOLE_LIMIT) & ~checks["is infinite"]
    for check, bad in checks.items():
        if bad.any():
            faults.append(Fault(check, np.flatnonzero(bad)))
            missing |= bad
    if whole:
        return CastResult(
            pa.array(np.where(missing, 0, numbers).astype(np.int64), mask=missing), tuple(faults)
        )
    return CastResult(pa.array(numbers, mask=missing), tuple(faults))


def to_text(values: Values, dtype: DType) -> CastResult:
    """A column as strings without surrounding spaces; the empty text is missing.

    Binary and nested values are at fault, and texts longer than a category (in characters) or a text (in
    bytes) may be.
    """
    faults: list[Fault] = []
    if isinstance(values, pa.Array) and _is_string(values.type):
        texts = _trim_texts(pc.cast(values, pa.string()))
        sizes = _measure_texts(texts)
        if (sizes == 0).any():
            texts = pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)
    else:
        # Each distinct value is converted once: a column of another type that serves as a category has few.
        distinct_values, indices = _encode_distinct_values(values)
        distinct_texts, rows_by_check = object_casting.parse_texts(distinct_values)
        texts = pa.array(distinct_texts, pa.string())
        if indices is None:
            faults = [Fault(check, rows) for check, rows in rows_by_check.items()]
        else:
            texts = texts.take(indices)
            distinct_of_row = indices.to_numpy(zero_copy_only=False)
            faults = [
                Fault(check, np.flatnonzero(np.isin(distinct_of_row, rows)))
                for check, rows in rows_by_check.items()
            ]
        sizes = _measure_texts(texts)
    limit = CATEGORY_CHARACTERS if dtype == "category" else TEXT_BYTES
    if len(sizes) and sizes.max() > limit:
        lengths = pc.utf8_length(texts) if dtype == "category" else pc.binary_length(texts)
        too_long = pc.fill_null(pc.greater(lengths, limit), False).to_numpy(zero_copy_only=False)
        if too_long.any():
            unit = "characters" if dtype == "category" else "bytes"
            faults.append(Fault(f"is longer than {limit:,} {unit}", np.flatnonzero(too_long)))
            texts = pc.if_else(pa.array(too_long), None, texts)
    return CastResult(texts, tuple(faults))


def to_timestamp(values: Values) -> CastResult:
    """A column as timestamp[us, UTC]; a time without an offset is taken as UTC.

    Texts must be ISO 8601; times outside the years 1 to 9999 are at fault.
    """
    if isinstance(values, pa.Array):
        if pa.types.is_null(values.type):
            return CastResult(values.cast(TIMESTAMP_TYPE))
        if pa.types.is_date32(values.type):
            values = values.cast(pa.timestamp("s"))
        elif pa.types.is_date64(values.type):
            values = values.cast(pa.timestamp("ms"))
        if pa.types.is_timestamp(values.type):
            return _cast_timestamps(values)
        if _is_string(values.type):
            values = _trim_texts(pc.cast(values, pa.string()))
            # Arrow casts a column whose texts all have an offset, or all have none. Others go value by value.
            for kind in (pa.timestamp("us"), TIMESTAMP_TYPE):
                try:
                    return _cast_timestamps(pc.cast(values, kind))
                except pa.ArrowInvalid:
                    continue
    moments, rows_by_check = object_casting.parse_timestamps(to_plain_objects(values))
    faults = tuple(Fault(check, rows) for check, rows in rows_by_check.items())
    return CastResult(pa.array(moments, pa.timestamp("us")).cast(TIMESTAMP_TYPE), faults)


def _to_floats(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """The values as float64, NaN where they are missing or not numbers, and which are not numbers (bool)."""
    not_numbers = np.zeros(len(values), dtype=bool)
    if not isinstance(values, pa.Array):
        return object_casting.parse_numbers(values)
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _to_numpy(pc.cast(values, pa.float64(), safe=False)), not_numbers
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan), not_numbers
    if pa.types.is_decimal(kind):
        # Through text, because Arrow's own conversion does not always give the nearest float64.
        values = pc.cast(values, pa.string())
    elif not _is_string(kind):
        return object_casting.parse_numbers(to_plain_objects(values))
    texts = _trim_texts(pc.cast(values, pa.string()))
    try:
        parsed_values, unparsed = pc.cast(texts, pa.float64()), None
    except pa.ArrowInvalid:
        parsed_values, unparsed = _cast_numeric_texts(texts)
    numbers = _to_numpy(parsed_values)
    # Arrow casts both "nan(7)", which is not a number here, and "nan", which is missing, to NaN.
    nan_texts = np.isnan(numbers)
    if parsed_values.null_count < nan_texts.sum():
        nan_texts &= pc.is_valid(parsed_values).to_numpy(zero_copy_only=False)
        unparsed = nan_texts if unparsed is None else unparsed | nan_texts
    if unparsed is None or not unparsed.any():
        return numbers, not_numbers
    numbers = numbers.copy()
    numbers[unparsed], not_numbers[unparsed] = object_casting.parse_numbers(
        to_plain_objects(texts.filter(pa.array(unparsed)))
    )
    return numbers, not_numbers


def _cast_numeric_texts(texts: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """The numbers among texts as float64, null elsewhere, and which texts are neither a number in plain
    notation nor a usual word for a missing one (bool, None for no such text)."""
    means_missing = pc.is_in(pc.utf8_lower(texts), value_set=_NO_NUMBER)
    texts = pc.if_else(means_missing, None, texts)
    try:
        return pc.cast(texts, pa.float64()), None
    except pa.ArrowInvalid:
        is_number = pc.match_substring_regex(texts, _NUMBER)
        unparsed = pc.fill_null(pc.invert(is_number), False).to_numpy(zero_copy_only=False)
        return pc.cast(pc.if_else(is_number, texts, None), pa.float64()), unparsed


def _cast_timestamps(moments: pa.Array) -> CastResult:
    """Timestamps of any unit in microseconds; those outside the years 1 to 9999 are at fault."""
    per_second = _PER_SECOND[moments.type.unit]
    present = pc.is_valid(moments).to_numpy(zero_copy_only=False)
    ticks = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy()
    seconds = ticks // per_second
    outside = present & ((seconds < _FIRST_SECOND) | (seconds >= _END_SECOND))
    ticks = np.where(present & ~outside, ticks, 0)
    micros = (
        ticks // (per_second // 1_000_000) if per_second > 1_000_000 else ticks * (1_000_000 // per_second)
    )
    values = pa.array(micros, mask=~present | outside).cast(TIMESTAMP_TYPE)
    if outside.any():
        return CastResult(values, (Fault(object_casting.OUTSIDE_YEARS, np.flatnonzero(outside)),))
    return CastResult(values)


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _trim_texts(texts: pa.Array) -> pa.Array:
    """The texts without surrounding white space, as `str.strip` defines it (Unicode's White_Space)."""
    offsets = _get_offsets(texts)
    data = texts.buffers()[2]
    if data is None or not len(texts):
        return texts
    characters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    # Most columns hold no white space at all, which one look at their bytes shows.
    if ((characters > 32) & (characters < 128)).all():
        return texts
    return pc.utf8_trim_whitespace(texts)


def _get_offsets(texts: pa.Array) -> np.ndarray:
    """Where each text begins in the array's bytes, and the last one ends. Shape (rows + 1,), int32."""
    buffer = texts.buffers()[1]
    if buffer is None or not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]


def _measure_texts(texts: pa.Array) -> np.ndarray:
    """The length of each text in bytes, -1 for a missing one. Shape (rows,)."""
    sizes = np.diff(_get_offsets(texts))
    if texts.null_count:
        sizes = np.where(pc.is_valid(texts).to_numpy(zero_copy_only=False), sizes, -1)
    return sizes


def _encode_distinct_values(values: Values) -> tuple[np.ndarray, pa.Array | None]:
    """The distinct values as objects, and the index among them for each row; None where each row has its
    own."""
    if not isinstance(values, pa.Array):
        return values, None
    try:
        encoded = values.dictionary_encode()
    except pa.ArrowNotImplementedError:  # nested
        return to_plain_objects(values), None
    return to_plain_objects(encoded.dictionary), encoded.indices


def to_plain_objects(values: Values) -> np.ndarray:
    """The values as an array of Python objects, None where they are missing."""
    if not isinstance(values, pa.Array):
        return values
    try:
        elements: list[object] = values.to_pylist()
    except (OverflowError, ValueError):  # a time outside Python's years
        elements = pc.cast(values, pa.string()).to_pylist()
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _to_numpy(numbers: pa.Array) -> np.ndarray:
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
