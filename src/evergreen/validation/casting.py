"""A source's values as the declared types; what cannot be cast becomes missing and is told."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number

import numpy as np
import pandas as pd

from evergreen.usecase import CATEGORY_CHARACTERS, TEXT_BYTES, DType
from evergreen.validation.report import Failure, failure

# What files write for "no number". In a text column such words may mean something: there only "" is missing.
NO_NUMBER = frozenset(("", "na", "n/a", "nan", "null", "none", "-"))
# From here on a float64 no longer tells neighbouring integers apart: 2^53 may have been 2^53 + 1.
WHOLE_LIMIT = 2**53


def cast(values: pd.Series, dtype: DType, column: str) -> tuple[pd.Series, list[Failure]]:
    """Values of any source as float64 with NaN, or as objects of str or None. Shape (rows,) stays."""
    return (
        to_number(values, column, whole=dtype == "int")
        if dtype in ("int", "float")
        else to_text(values, column, dtype)
    )


def to_number(values: pd.Series, column: str, *, whole: bool) -> tuple[pd.Series, list[Failure]]:
    """As float64; texts, infinities and, if `whole`, fractions are failures and become NaN."""
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
        given = values.isna()
        numbers = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    else:
        # An object column of a database: True is 1 there as it is in a column of booleans.
        texts = values.map(lambda v: int(v) if isinstance(v, bool) else v).astype("str").str.strip()
        given = values.isna() | texts.str.lower().isin(NO_NUMBER)
        numbers = pd.to_numeric(texts.where(~given), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    cast_values = pd.Series(numbers, index=values.index)
    failures: list[Failure] = []
    _reject(values, cast_values, cast_values.isna() & ~given, column, "is not a number", failures)
    _reject(values, cast_values, cast_values.abs() == np.inf, column, "is infinite", failures)
    if whole:
        _reject(values, cast_values, cast_values % 1 != 0, column, "is not a whole number", failures)
        _reject(values, cast_values, cast_values.abs() >= WHOLE_LIMIT, column, "is 2^53 or more", failures)
    return cast_values, failures


def to_text(values: pd.Series, column: str, dtype: DType) -> tuple[pd.Series, list[Failure]]:
    """As objects of str or None, stripped of surrounding spaces; the empty text is missing."""
    texts = pd.Series(
        [None if missing else _text(value) for value, missing in zip(values, values.isna(), strict=True)],
        index=values.index,
        dtype=object,
    )
    texts = texts.where(texts != "", None)
    failures: list[Failure] = []
    binary = values.map(lambda value: isinstance(value, bytes)).astype(bool)
    if binary.any():
        failures.append(failure(column, "is binary, not text", binary.sum(), values[binary].head(50)))
    measure: Callable[[str], int] = len if dtype == "category" else lambda text: len(text.encode())
    limit = CATEGORY_CHARACTERS if dtype == "category" else TEXT_BYTES
    too_long = texts.map(lambda text: text is not None and measure(text) > limit).astype(bool)
    unit = "characters" if dtype == "category" else "bytes"
    if too_long.any():
        failures.append(
            failure(column, f"is longer than {limit:,} {unit}", too_long.sum(), texts[too_long].head(50))
        )
    return texts, failures


def to_moment(values: pd.Series, column: str) -> tuple[pd.Series, list[Failure]]:
    """As datetime64[us, UTC]; without an offset it is UTC. Texts must be ISO 8601: no guessing at 03/04."""
    given = values.isna()
    # A bare number could be seconds, days or a year.
    numbers = ~given & values.map(lambda value: isinstance(value, Number)).astype(bool)
    if numbers.any():
        failures = [failure(column, "is a number, not a time", numbers.sum(), values[numbers].head(50))]
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]"), failures
    plain = values.map(lambda v: v if pd.isna(v) else str(v).strip()).astype(object)
    moments = pd.to_datetime(plain, utc=True, format="ISO8601", errors="coerce").astype("datetime64[us, UTC]")
    failures = []
    bad = moments.isna() & ~given
    if bad.any():
        failures.append(
            failure(column, "is not an ISO 8601 time such as 2026-11-21", bad.sum(), values[bad].head(50))
        )
    if given.any():
        failures.append(failure(column, "has no value", given.sum()))
    return moments, failures


def _reject(
    given: pd.Series, numbers: pd.Series, bad: pd.Series, column: str, check: str, failures: list[Failure]
) -> None:
    bad = bad & (numbers.notna() | (check == "is not a number"))
    if bad.any():
        failures.append(failure(column, check, bad.sum(), given[bad].head(50)))
        numbers[bad] = np.nan


def _text(value: object) -> str:
    # 3.0 is how a nullable integer column arrives; its category is "3".
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
