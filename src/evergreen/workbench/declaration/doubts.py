"""Doubts about a table's columns: values that look like numbers or dates but were not read as such."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from evergreen.validation.object_casting import NO_NUMBER
from evergreen.workbench.declaration.column_facts import Column

_FRACTION = re.compile(r"[+-]?\d*\.\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMAS = re.compile(r"[+-]?\d+([.,]\d{3})*(,\d+)?")
_UNITS = re.compile(r"[$€£]\s?[+-]?[\d.,]+|[+-]?[\d.,]+\s?[%$€£]")
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b.*")


def find_doubts(columns: Mapping[str, Column]) -> list[str]:
    """A sentence per doubt, with what to do about it: a missing header line, unreadable numbers or dates."""
    sentences = [_describe_doubt(column) for column in columns.values()]
    return [*_describe_header_doubts(columns), *(sentence for sentence in sentences if sentence)]


def _describe_header_doubts(names: Iterable[str]) -> list[str]:
    """A doubt about names that look like values: a fraction among them, or mostly numbers.

    A few whole numbers are no reason to doubt: they may be years.
    """
    names = list(names)
    numbers = [name for name in names if _NUMBER.fullmatch(name.strip())]
    if not any(_FRACTION.fullmatch(name.strip()) for name in numbers) and 2 * len(numbers) <= len(names):
        return []
    some = " and ".join(f'"{name}"' for name in numbers[:2])
    return [f"Columns named {some} look like values: if the file has no header line, give it one."]


def _describe_doubt(column: Column) -> str:
    """The doubt about a text column; "" if there is none."""
    if not column.text or column.number or column.moment or column.empty:
        return ""
    odd = [value for value in column.odd.get("number", []) if not _NUMBER.fullmatch(value)]
    values = list(column.values) or odd
    name, example = column.name, odd[0] if odd else ""
    if _all_match(values, _DATE):
        return f'"{name}" ("{example}") looks like dates; written as 2026-11-21 they would be times.'
    if _all_match(values, _COMMAS):
        return f'"{name}" ("{example}") looks like numbers; written as 1234.5 they would be.'
    if _all_match(values, _UNITS):
        return f'"{name}" ("{example}") looks like numbers; without sign and unit they would be.'
    if column.many:
        words = {value for value in odd if len(odd) > 1 and not any(map(str.isalnum, value))}
        mostly = len(words) == 1 and len(set(odd)) == 1
    else:
        numbers = sum(count for value, count in column.values.items() if _NUMBER.fullmatch(value))
        gaps = sum(count for value, count in column.values.items() if value.lower() in NO_NUMBER)
        # A word with digits in it is a code, such as a ticket number, and no missing value.
        mostly = 2 * numbers >= column.present - gaps and not any(map(str.isdigit, "".join(odd)))
    if mostly:
        return f'"{name}" may hold numbers, but "{example}" is none; leave such fields empty for a number.'
    return ""


def _all_match(values: list[str], pattern: re.Pattern[str]) -> bool:
    return bool(values) and all(pattern.fullmatch(value) for value in values)
