"""Casts a source's values to the declared types, one Python object at a time.

It takes what `casting` cannot give to Arrow: unusual spellings, and any mixture of objects that a database or
a frame may hold. What it decides is the definition; `casting` decides the same for whole Arrow columns.
"""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Number, Real

import numpy as np
import pandas as pd

# Texts that mean a missing number. In a text column these words may be values: there only "" is missing.
NO_NUMBER = ("", "na", "n/a", "nan", "null", "none", "-")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
# Digits of a second beyond microseconds. They are cut off: pandas would turn the whole column into
# nanoseconds, which end in the year 2262.
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+", re.ASCII)
# Texts must begin with a year, because pandas also takes "now" and "today" for times.
_YEAR = re.compile(r"\d{4}", re.ASCII)
# The range of MariaDB's and Python's times.
OUTSIDE_YEARS = "is not in the years 1 to 9999"
_FIRST_MOMENT = np.datetime64("0001-01-01T00:00:00.000000", "us")
_LAST_MOMENT = np.datetime64("9999-12-31T23:59:59.999999", "us")


def parse_numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values as float64, NaN where they are missing or not numbers, and which are not numbers (bool).

    Infinity is a number.
    """
    numbers = np.full(len(values), np.nan)
    not_numbers = np.zeros(len(values), dtype=bool)
    for index in np.flatnonzero(~pd.isna(values)):
        try:
            numbers[index], not_numbers[index] = _parse_number(values[index])
        except OverflowError:  # an integer beyond every float64
            numbers[index] = np.inf
    return numbers, not_numbers


def _parse_number(value: object) -> tuple[float, bool]:
    """The number, NaN where there is none, and whether the value is at fault."""
    # True is 1 in a column of mixed objects, as it is in a column of booleans.
    if isinstance(value, Real | Decimal | np.bool_) and not (isinstance(value, Decimal) and value.is_nan()):
        return float(value), False
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return float(text), False
    return np.nan, text.lower() not in NO_NUMBER


def parse_texts(values: np.ndarray) -> tuple[list[str | None], dict[str, np.ndarray]]:
    """The values as stripped texts, None where they are missing, empty or at fault, and by check the
    positions (int64) of those that cannot be a text."""
    texts: list[str | None] = [None] * len(values)
    faults: dict[str, list[int]] = {}
    for index in np.flatnonzero(~pd.isna(values)).tolist():
        value = values[index]
        if isinstance(value, bytes):
            faults.setdefault("is binary, not text", []).append(index)
        elif isinstance(value, dict | list | tuple | np.ndarray):
            faults.setdefault("is nested, not text", []).append(index)
        else:
            text = _format_text(value)
            # Half of a surrogate pair ("\ud800" in JSON) is a str in Python, but cannot be written as UTF-8.
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                faults.setdefault("is not Unicode text", []).append(index)
            else:
                texts[index] = text or None
    return texts, {check: np.array(rows, dtype=np.int64) for check, rows in faults.items()}


def _format_text(value: object) -> str:
    # A nullable integer column arrives as floats: 3.0 is the category "3".
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def parse_timestamps(values: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The values as datetime64[us] in UTC, NaT where they are missing or at fault, and by check the positions
    (int64) of those that are no time.

    A time without an offset is taken as UTC. Texts must be ISO 8601, because "03/04" is ambiguous. A number
    is at fault, because it could be seconds, days or a year.
    """
    present = ~pd.isna(values)
    is_number = np.fromiter((isinstance(value, Number) for value in values), dtype=bool, count=len(values))
    is_number &= present
    texts = [
        _BEYOND_MICROSECONDS.sub(r"\1", text) if (text := str(value).strip()) and _YEAR.match(text) else None
        for value in np.where(present & ~is_number, values, "")
    ]
    parsed_texts = pd.to_datetime(
        pd.Series(texts, index=pd.RangeIndex(len(texts)), dtype=object),
        utc=True,
        format="ISO8601",
        errors="coerce",
    )
    moments = parsed_texts.dt.tz_localize(None).to_numpy("datetime64[us]").copy()
    with np.errstate(invalid="ignore"):
        outside = ~np.isnat(moments) & ((moments < _FIRST_MOMENT) | (moments > _LAST_MOMENT))
    not_moments = present & ~is_number & np.isnat(moments)
    moments[outside] = np.datetime64("NaT", "us")
    faults = {"is not an ISO 8601 time such as 2026-11-21": not_moments, OUTSIDE_YEARS: outside}
    faults["is a number, not a time"] = is_number
    return moments, {check: np.flatnonzero(where) for check, where in faults.items() if where.any()}
