"""A source's values as the declared types, one Python object at a time.

What `casting` does for whole Arrow columns is defined here, value by value: this takes what Arrow does not
understand, and any mixture of objects that a database or a frame may hold.
"""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Number, Real

import numpy as np
import pandas as pd

# What files write for "no number". In a text column such words may mean something: there only "" is missing.
NO_NUMBER = ("", "na", "n/a", "nan", "null", "none", "-")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
# One value in nanoseconds would move all of a column to them, which end in the year 2262.
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+", re.ASCII)
# pandas also takes "now" and "today" for times.
_YEAR = re.compile(r"\d{4}", re.ASCII)
# What MariaDB, and Python, can tell.
OUTSIDE_YEARS = "is not in the years 1 to 9999"
_FIRST_MOMENT = np.datetime64("0001-01-01T00:00:00.000000", "us")
_LAST_MOMENT = np.datetime64("9999-12-31T23:59:59.999999", "us")


def parse_numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 with NaN for missing, and where a value is no number (NaN there too). Infinity is a number."""
    made = np.full(len(values), np.nan)
    wrong = np.zeros(len(values), dtype=bool)
    for index in np.flatnonzero(~pd.isna(values)):
        try:
            made[index], wrong[index] = _parse_number(values[index])
        except OverflowError:  # an integer beyond every float64
            made[index] = np.inf
    return made, wrong


def _parse_number(value: object) -> tuple[float, bool]:
    # A column of mixed objects may hold True, which is 1 there as it is in a column of booleans.
    if isinstance(value, Real | Decimal | np.bool_) and not (isinstance(value, Decimal) and value.is_nan()):
        return float(value), False
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return float(text), False
    return np.nan, text.lower() not in NO_NUMBER


def parse_texts(values: np.ndarray) -> tuple[list[str | None], dict[str, np.ndarray]]:
    """Stripped texts with None for missing or empty, and where a value cannot be a text, by what it is."""
    made: list[str | None] = [None] * len(values)
    faults: dict[str, list[int]] = {}
    for index in np.flatnonzero(~pd.isna(values)).tolist():
        value = values[index]
        if isinstance(value, bytes):
            faults.setdefault("is binary, not text", []).append(index)
        elif isinstance(value, dict | list | tuple | np.ndarray):
            faults.setdefault("is nested, not text", []).append(index)
        else:
            text = _format_text(value)
            # Half of a surrogate pair, as "\ud800" in JSON, is a str of Python but no Unicode text.
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                faults.setdefault("is not Unicode text", []).append(index)
            else:
                made[index] = text or None
    return made, {check: np.array(rows, dtype=np.int64) for check, rows in faults.items()}


def _format_text(value: object) -> str:
    # 3.0 is how a nullable integer column arrives; its category is "3".
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def parse_timestamps(values: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """datetime64[us] in UTC with NaT for missing, and where a value is no time, by why (NaT there too).

    Without an offset it is UTC. Texts must be ISO 8601: no guessing at 03/04. A bare number could be seconds,
    days or a year.
    """
    given = ~pd.isna(values)
    number = np.fromiter((isinstance(value, Number) for value in values), dtype=bool, count=len(values))
    number &= given
    plain = [
        _BEYOND_MICROSECONDS.sub(r"\1", text) if (text := str(value).strip()) and _YEAR.match(text) else None
        for value in np.where(given & ~number, values, "")
    ]
    parsed = pd.to_datetime(
        pd.Series(plain, index=pd.RangeIndex(len(plain)), dtype=object),
        utc=True,
        format="ISO8601",
        errors="coerce",
    )
    made = parsed.dt.tz_localize(None).to_numpy("datetime64[us]").copy()
    with np.errstate(invalid="ignore"):
        outside = ~np.isnat(made) & ((made < _FIRST_MOMENT) | (made > _LAST_MOMENT))
    wrong = given & ~number & np.isnat(made)
    made[outside] = np.datetime64("NaT", "us")
    faults = {"is not an ISO 8601 time such as 2026-11-21": wrong, OUTSIDE_YEARS: outside}
    faults["is a number, not a time"] = number
    return made, {check: np.flatnonzero(where) for check, where in faults.items() if where.any()}
