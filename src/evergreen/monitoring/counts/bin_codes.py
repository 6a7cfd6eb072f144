"""SQL that numbers the bin of a row's feature, exactly as `FeatureProfile.find_bins` does in Python.

Several features of a row become one whole number, their code: a mixed-radix number whose digits are the bins.
So MariaDB reads a row once for several features, and the counts of each are sums over the codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.prediction_counter import get_column_name
from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.slice_groups import SliceGroup

Integer = sa.ColumnElement[int]


@dataclass(frozen=True)
class Digit:
    """One digit of a code: a name, the number of its values, and the SQL of a value from 0 to `size` - 1."""

    name: str
    size: int
    value: Integer


def build_bin_digit(table: sa.Table, profile: FeatureProfile) -> Digit:
    """The bin of a row of the prediction log `table`, in the order of the profile's counts."""
    column = table.c[get_column_name(profile.feature)]
    bins = len(profile.bins)
    if not bins:
        value: Integer = sa.case((column.is_(None), 1), else_=0)
    elif profile.kind == "numeric":
        # INTERVAL is the number of edges that a value reaches from below; with both negated it is that of the
        # edges that it does not exceed. -1 for NULL makes the last bin. As DOUBLE, which is what Python has.
        edges = [-float(edge) for edge in reversed(profile.bins)]
        value = bins - sa.func.interval(-_as_double(column), *edges)
    else:
        # FIELD is the place of the value among the names, from 1, and 0 where it is none of them.
        place = sa.func.field(column, *map(str, profile.bins))
        value = sa.case((column.is_(None), bins + 1), else_=(place + bins) % (bins + 1))
    return Digit(profile.feature, bins + 2, value)


def build_group_digit(table: sa.Table, groups: Sequence[SliceGroup]) -> Digit:
    """The number of a row's group among `groups`, all of one feature; their number for a row of none."""
    column = table.c[groups[0].feature]
    if not groups[0].numeric:
        place = sa.func.field(column, *[group.label for group in groups])
        # FIELD is 0 for NULL too.
        value: Integer = (place + len(groups)) % (len(groups) + 1)
    else:
        number = _as_double(column)
        value = sa.case(*[(_is_within(number, each), n) for n, each in enumerate(groups)], else_=len(groups))
    return Digit(groups[0].feature, len(groups) + 1, value)


def build_code(digits: Sequence[Digit]) -> Integer:
    """The code of some digits, the first one the least."""
    code = digits[0].value
    radix = digits[0].size
    for digit in digits[1:]:
        code = code + digit.value * radix
        radix *= digit.size
    return code


def count_digit_pairs(
    digits: Sequence[Digit], first: int, codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> Mapping[str, npt.NDArray[np.int64]]:
    """From the rows by code: for each digit after the first `first` ones, the rows by these and by it, of
    shape (size of the first digits ..., size of the digit). Both arrays have the shape (codes,)."""
    values = []
    for digit in digits:
        values.append(codes % digit.size)
        codes = codes // digit.size
    leading = [digit.size for digit in digits[:first]]
    result: dict[str, npt.NDArray[np.int64]] = {}
    for digit, numbers in zip(digits[first:], values[first:], strict=True):
        counts = np.zeros((*leading, digit.size), dtype=np.int64)
        np.add.at(counts, (*values[:first], numbers), rows)
        result[digit.name] = counts
    return result


def pack_digits(leading: int, digits: Sequence[Digit], most_codes: int) -> list[list[Digit]]:
    """Digits in groups, so that each group together with `leading` codes has at most `most_codes`, or is one
    digit; the large ones first."""
    groups: list[tuple[int, list[Digit]]] = []
    for digit in sorted(digits, key=lambda each: -each.size):
        for place, (codes, some) in enumerate(groups):
            if codes * digit.size <= most_codes:
                groups[place] = (codes * digit.size, [*some, digit])
                break
        else:
            groups.append((leading * digit.size, [digit]))
    return [some for _, some in groups]


def _as_double(column: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
    return column + sa.literal(0.0, sa.Double())


def _is_within(number: sa.ColumnElement[float], group: SliceGroup) -> sa.ColumnElement[bool]:
    bounds = []
    if group.low is not None:
        bounds.append(number >= sa.literal(group.low, sa.Double()))
    if group.high is not None:
        bounds.append(number < sa.literal(group.high, sa.Double()))
    return sa.and_(*bounds)
