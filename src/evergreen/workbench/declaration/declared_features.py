"""A declared feature, made from statistics of a column: its type, domain, null limit and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evergreen.serving.http.schema import TEXT_CHARACTERS
from evergreen.usecase import CATEGORY_CHARACTERS, TEXT_BYTES, Feature, Severity
from evergreen.workbench.declaration.column_facts import MOST_VALUES, Column
from evergreen.workbench.declaration.naming import looks_like_id, looks_like_index

# A text is a category when it has few values, or each of them occurs often enough.
_ALWAYS_A_CATEGORY = 10
_FEW = 50
# A category is limited to its values when each of them occurs at least this often.
_KNOWN_WELL = 5
_MOST_ALLOWED = 20
_LONGEST_ALLOWED = 40
# Domains are inferred from one table, which shows what is usual: a value beyond them only causes a warning.
_GUESSED: Severity = "warning"


@dataclass(frozen=True)
class FeatureDeclaration:
    """A feature and, where there is something to say, a comment for whoever reads the declaration."""

    feature: Feature
    comment: str = ""


@dataclass(frozen=True)
class OmittedColumn:
    """A column that no feature was made of, and why."""

    column: str
    reason: str


def declare_feature(column: Column, name: str) -> FeatureDeclaration | OmittedColumn:
    """The feature for a column, or why it can be none."""
    if column.unusable:
        return OmittedColumn(column.name, column.unusable)
    if column.empty or column.gaps == column.rows:
        return OmittedColumn(column.name, "has no values")
    if column.constant and not column.gaps:
        return OmittedColumn(column.name, f"always holds {_quote_value(next(iter(column.values)))}")
    if column.infinite:
        return OmittedColumn(column.name, "holds infinite numbers")
    if column.numeric:
        return _declare_number(column, name)
    if column.bytes > TEXT_BYTES or column.characters > TEXT_CHARACTERS:
        return OmittedColumn(
            column.name, f"holds texts of up to {column.characters:,} characters, too long to keep"
        )
    return _declare_category(column, name) if _has_recurring_values(column) else _declare_text(column, name)


def compute_bounds(column: Column) -> tuple[float, float]:
    """A numeric column's domain: its range, extended on both sides by its span.

    It does not go below 0 where no value is negative, nor above 0 where none is positive.
    """
    span = column.greatest - column.least or abs(column.greatest) or 1.0
    least = 0.0 if column.least >= 0 else -_round_up(span - column.least)
    greatest = 0.0 if column.greatest <= 0 and column.least < 0 else _round_up(column.greatest + span)
    return least, greatest


def compute_null_limit(column: Column) -> float:
    """The share of missing values to allow: none where none is missing, else about half as many again."""
    if not column.gaps:
        return 0.0
    share = column.gaps / column.rows
    roomy = math.ceil((1.5 * share + 0.03) * 20) / 20
    return min(roomy, 0.95 if share < 0.9 else 1.0)


def describe_column(column: Column) -> str:
    """A column's values in words: a range, a few categories, or how many different ones there are."""
    if column.numeric:
        values = f"{format_number(column.least)} to {format_number(column.greatest)}"
    elif _has_listable_values(column):
        names = sorted(column.values)
        values = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
    else:
        many = f"more than {MOST_VALUES:,}" if column.many else f"{len(column.values):,}"
        values = f"{many} different values"
        if column.text:
            values += f" of up to {column.characters:,} characters"
    if not column.gaps:
        return f"{values}, never missing"
    share = column.gaps / column.rows
    return f"{values}, missing in {'less than 1 %' if share < 0.01 else f'{share:.0%}'.replace('%', ' %')}"


def format_number(value: float) -> str:
    """A number as people write it: 15.9, 1,599."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _declare_number(column: Column, name: str) -> FeatureDeclaration:
    least, greatest = compute_bounds(column)
    counter = column.whole and column.distinct and not column.gaps
    identifies = counter and (looks_like_id(column.name) or looks_like_index(column.name))
    comment = "Another number on every row, so it names rows and says nothing of them." if identifies else ""
    # Whole numbers that seldom repeat may be measurements, in which fractions can occur later: 77, 78, 77.5.
    measure = column.whole and column.text and not identifies and not _has_recurring_values(column)
    if measure:
        comment = 'Whole numbers so far; where there can be no others, say "int".'
    feature = Feature(
        name,
        "int" if column.whole and not measure else "float",
        _describe_meaning(column),
        minimum=least,
        maximum=greatest,
        max_null_share=compute_null_limit(column),
        used_by_model=not identifies,
        column=_name_source(column, name),
        severity=_GUESSED,
    )
    return FeatureDeclaration(feature, comment)


def _declare_category(column: Column, name: str) -> FeatureDeclaration:
    complete = _has_listable_values(column) and min(column.values.values()) >= _KNOWN_WELL
    comment = ""
    if column.code:
        comment = "Kept as text, because of its leading zeros."
    elif _has_listable_values(column) and not complete:
        rare = min(column.values, key=lambda value: (column.values[value], value))
        comment = f"Not limited to these values: {_quote_value(rare)} is so rare that there may be others."
    feature = Feature(
        name,
        "category",
        _describe_meaning(column),
        allowed=tuple(sorted(column.values)) if complete else (),
        max_null_share=compute_null_limit(column),
        column=_name_source(column, name),
        severity=_GUESSED,
    )
    return FeatureDeclaration(feature, comment)


def _declare_text(column: Column, name: str) -> FeatureDeclaration:
    comment = "Hardly two rows share a value, so the model would learn it by heart."
    if column.moment:
        comment = "A time: an on-demand feature can make a number of it."
    elif column.code:
        comment = "Kept as text, because of its leading zeros."
    feature = Feature(
        name,
        "text",
        _describe_meaning(column),
        max_null_share=compute_null_limit(column),
        used_by_model=False,
        column=_name_source(column, name),
        severity=_GUESSED,
    )
    return FeatureDeclaration(feature, comment)


def _describe_meaning(column: Column) -> str:
    return f'Column "{column.name}": {describe_column(column)}. Say here what it means.'


def _name_source(column: Column, name: str) -> str:
    return "" if column.name == name else column.name


def _has_recurring_values(column: Column) -> bool:
    """Whether a column's values come back often enough to be a category, or a count."""
    if column.many or column.characters > CATEGORY_CHARACTERS or (column.moment and column.distinct):
        return False
    different, present = len(column.values), column.present
    if different <= _ALWAYS_A_CATEGORY:
        return different < present or present <= 1
    return present / different >= (3 if different <= _FEW else 20)


def _has_listable_values(column: Column) -> bool:
    """Whether the values are few and short enough to name them all."""
    if column.many or not 0 < len(column.values) <= _MOST_ALLOWED:
        return False
    return max(map(len, column.values)) <= _LONGEST_ALLOWED and all(map(str.isprintable, column.values))


def _round_up(value: float) -> float:
    """The next number with two significant digits, away from zero."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = math.ceil(round(value / step, 6)) * step
    return float(f"{rounded:.6g}")


def _quote_value(value: str) -> str:
    return f'"{value}"' if len(value) <= _LONGEST_ALLOWED else f'"{value[:_LONGEST_ALLOWED]}..."'
