"""A source's columns as the declared types, in Arrow; what cannot be cast becomes missing and is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import CATEGORY_CHARACTERS, TEXT_BYTES, DType
from evergreen.validation import objects

# From here on a float64 no longer tells neighbouring integers apart: 2^53 may have been 2^53 + 1.
WHOLE_LIMIT = 2**53
TIMESTAMP_TYPE = pa.timestamp("us", "UTC")

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NO_NUMBER = pa.array(objects.NO_NUMBER)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Seconds since 1970 of the years 1 to 9999.
_FIRST_SECOND, _END_SECOND = -62_135_596_800, 253_402_300_800

# One column of a batch: Arrow, or an object array for a mixture of types that Arrow cannot hold.
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
    """Any column as int64, float64 or string."""
    return to_number(values, whole=dtype == "int") if dtype in ("int", "float") else to_text(values, dtype)


def to_number(values: Values, *, whole: bool) -> CastResult:
    """As float64, or int64 if `whole`; texts, infinities and, if `whole`, fractions are at fault."""
    made, wrong = _to_floats(values)
    absent = np.isnan(made)
    faults = [Fault("is not a number", np.flatnonzero(wrong))] if wrong.any() else []
    # Most columns have nothing but numbers in a row: three passes over a few KiB decide that.
    with np.errstate(invalid="ignore"):
        checks = {"is infinite": np.isinf(made)}
        if whole:
            checks["is not a whole number"] = (made != np.trunc(made)) & ~absent
            checks["is 2^53 or more"] = (np.abs(made) >= WHOLE_LIMIT) & ~checks["is infinite"]
    for check, bad in checks.items():
        if bad.any():
            faults.append(Fault(check, np.flatnonzero(bad)))
            absent |= bad
    if whole:
        return CastResult(pa.array(np.where(absent, 0, made).astype(np.int64), mask=absent), tuple(faults))
    return CastResult(pa.array(made, mask=absent), tuple(faults))


def to_text(values: Values, dtype: DType) -> CastResult:
    """As strings, stripped of surrounding spaces; the empty text is missing."""
    faults: list[Fault] = []
    if isinstance(values, pa.Array) and _is_string(values.type):
        made = _trim_texts(pc.cast(values, pa.string()))
        sizes = _measure_texts(made)
        if (sizes == 0).any():
            made = pc.if_else(pc.equal(pc.binary_length(made), 0), None, made)
    else:
        # Through the different values: a column of another type that serves as a category has few.
        plain, indices = _encode_distinct_values(values)
        found, wrong = objects.parse_texts(plain)
        made = pa.array(found, pa.string())
        if indices is None:
            faults = [Fault(check, rows) for check, rows in wrong.items()]
        else:
            made = made.take(indices)
            at = indices.to_numpy(zero_copy_only=False)
            faults = [Fault(check, np.flatnonzero(np.isin(at, rows))) for check, rows in wrong.items()]
        sizes = _measure_texts(made)
    limit = CATEGORY_CHARACTERS if dtype == "category" else TEXT_BYTES
    if len(sizes) and sizes.max() > limit:
        measured = pc.utf8_length(made) if dtype == "category" else pc.binary_length(made)
        long = pc.fill_null(pc.greater(measured, limit), False).to_numpy(zero_copy_only=False)
        if long.any():
            unit = "characters" if dtype == "category" else "bytes"
            faults.append(Fault(f"is longer than {limit:,} {unit}", np.flatnonzero(long)))
            made = pc.if_else(pa.array(long), None, made)
    return CastResult(made, tuple(faults))


def to_timestamp(values: Values) -> CastResult:
    """As timestamp[us, UTC]; without an offset it is UTC. Texts must be ISO 8601, years 1 to 9999."""
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
            # A column keeps to one form: with offsets or without. Anything else goes value by value.
            for kind in (pa.timestamp("us"), TIMESTAMP_TYPE):
                try:
                    return _cast_timestamps(pc.cast(values, kind))
                except pa.ArrowInvalid:
                    continue
    made, wrong = objects.parse_timestamps(to_plain_objects(values))
    faults = tuple(Fault(check, rows) for check, rows in wrong.items())
    return CastResult(pa.array(made, pa.timestamp("us")).cast(TIMESTAMP_TYPE), faults)


def _to_floats(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """float64 with NaN for missing, and where a value is no number."""
    nothing = np.zeros(len(values), dtype=bool)
    if not isinstance(values, pa.Array):
        return objects.parse_numbers(values)
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _to_numpy(pc.cast(values, pa.float64(), safe=False)), nothing
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan), nothing
    if pa.types.is_decimal(kind):
        # By way of text: Arrow's own conversion may miss the nearest float64.
        values = pc.cast(values, pa.string())
    elif not _is_string(kind):
        return objects.parse_numbers(to_plain_objects(values))
    texts = _trim_texts(pc.cast(values, pa.string()))
    try:
        made, odd = pc.cast(texts, pa.float64()), None
    except pa.ArrowInvalid:
        made, odd = _cast_numeric_texts(texts)
    numbers = _to_numpy(made)
    # "nan(7)" is a NaN to Arrow, and "nan" a way to say that there is none.
    spelled = np.isnan(numbers)
    if made.null_count < spelled.sum():
        spelled &= pc.is_valid(made).to_numpy(zero_copy_only=False)
        odd = spelled if odd is None else odd | spelled
    if odd is None or not odd.any():
        return numbers, nothing
    numbers = numbers.copy()
    numbers[odd], nothing[odd] = objects.parse_numbers(to_plain_objects(texts.filter(pa.array(odd))))
    return numbers, nothing


def _cast_numeric_texts(texts: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """The numbers among texts as float64, null elsewhere; where there is a text that is neither number nor
    one of the usual words for none."""
    none = pc.is_in(pc.utf8_lower(texts), value_set=_NO_NUMBER)
    texts = pc.if_else(none, None, texts)
    try:
        return pc.cast(texts, pa.float64()), None
    except pa.ArrowInvalid:
        plain = pc.match_substring_regex(texts, _NUMBER)
        odd = pc.fill_null(pc.invert(plain), False).to_numpy(zero_copy_only=False)
        return pc.cast(pc.if_else(plain, texts, None), pa.float64()), odd


def _cast_timestamps(moments: pa.Array) -> CastResult:
    """Timestamps of any unit as microseconds; refused are those outside the years 1 to 9999."""
    per_second = _PER_SECOND[moments.type.unit]
    given = pc.is_valid(moments).to_numpy(zero_copy_only=False)
    counted = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy()
    seconds = counted // per_second
    outside = given & ((seconds < _FIRST_SECOND) | (seconds >= _END_SECOND))
    counted = np.where(given & ~outside, counted, 0)
    micros = (
        counted // (per_second // 1_000_000)
        if per_second > 1_000_000
        else counted * (1_000_000 // per_second)
    )
    values = pa.array(micros, mask=~given | outside).cast(TIMESTAMP_TYPE)
    if outside.any():
        return CastResult(values, (Fault(objects.OUTSIDE_YEARS, np.flatnonzero(outside)),))
    return CastResult(values)


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _trim_texts(texts: pa.Array) -> pa.Array:
    """As `str.strip`: both heed Unicode's White_Space. Most columns have no such byte at all."""
    offsets = _get_offsets(texts)
    data = texts.buffers()[2]
    if data is None or not len(texts):
        return texts
    characters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    if ((characters > 32) & (characters < 128)).all():
        return texts
    return pc.utf8_trim_whitespace(texts)


def _get_offsets(texts: pa.Array) -> np.ndarray:
    buffer = texts.buffers()[1]
    if buffer is None or not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]


def _measure_texts(texts: pa.Array) -> np.ndarray:
    """Bytes of each text, -1 for a missing one. Shape (rows,)."""
    sizes = np.diff(_get_offsets(texts))
    if texts.null_count:
        sizes = np.where(pc.is_valid(texts).to_numpy(zero_copy_only=False), sizes, -1)
    return sizes


def _encode_distinct_values(values: Values) -> tuple[np.ndarray, pa.Array | None]:
    """The different values as objects, and for each row which of them it holds; None: one for each row."""
    if not isinstance(values, pa.Array):
        return values, None
    try:
        coded = values.dictionary_encode()
    except pa.ArrowNotImplementedError:  # nested
        return to_plain_objects(values), None
    return to_plain_objects(coded.dictionary), coded.indices


def to_plain_objects(values: Values) -> np.ndarray:
    """As Python objects, None for missing."""
    if not isinstance(values, pa.Array):
        return values
    try:
        plain: list[Any] = values.to_pylist()
    except (OverflowError, ValueError):  # a time that Python cannot tell
        plain = pc.cast(values, pa.string()).to_pylist()
    made = np.empty(len(plain), dtype=object)
    made[:] = plain
    return made


def _to_numpy(numbers: pa.Array) -> np.ndarray:
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
