"""Escaping of texts in CSV files, so that a spreadsheet does not take a cell such as `=1+1` for a formula.

A text that begins like a formula gets an apostrophe before it, by which spreadsheets know a text (OWASP, "CSV
Injection"). Numbers stay as they are, also those in a column of texts, such as "-5".
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

# The last four: the full-width forms of the first four, which some locales' spreadsheets take for the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def escape_formula(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it; all else as it is."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def escape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the texts of all its columns escaped, the columns' names included."""
    escaped = frame.set_axis([escape_formula(name) for name in frame.columns], axis=1)
    for place in range(escaped.shape[1]):
        # By place, for titles may repeat.
        column = escaped.iloc[:, place]
        if not (is_numeric_dtype(column) or is_bool_dtype(column)):
            escaped.isetitem(place, column.map(escape_formula, na_action="ignore").array)
    return escaped
