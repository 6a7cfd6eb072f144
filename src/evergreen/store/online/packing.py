"""The SELECT statements of the online tables, and the reading of their rows.

Whole numbers and texts are selected as they are, floating-point numbers packed into binary values, which are
faster to read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evergreen.store.connection.values import KeyTuple, StoredRow
from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

# A LineString's bytes before its coordinates: byte order, type, number of points.
_HEAD_BYTES = 9
_MOST = 60  # columns of a LineString: their NULL bits fit into one BIGINT
_FEWEST = 3  # a LineString has two points at least

_selects: dict[str, tuple[UseCase, tuple[OnlineSelect, ...]]] = {}


@dataclass(frozen=True)
class OnlineSelect:
    """The SELECT of a view's online table, up to its list of keys, and how to read its rows.

    The protocol sends each DOUBLE as decimal text that the driver parses again, which takes half the time of
    a batch of keys. Geometries are sent in binary form. So doubles are selected as the coordinates of
    LineStrings, each beside a whole number whose bits say which of them are NULL: `packed` has the columns
    of each LineString, `plain` the other columns, `keys` the number of key columns.
    """

    head: str
    keys: int
    plain: tuple[str, ...]
    packed: tuple[tuple[str, ...], ...]

    def decode(self, rows: Sequence[tuple[Any, ...]]) -> dict[KeyTuple, StoredRow]:
        """The values by name, of each key tuple."""
        keys, end = self.keys, self.keys + len(self.plain)
        names = (*self.plain, *(name for group in self.packed for name in group))
        readers = [
            (end + 2 * number, struct.Struct(f"<{len(group)}d").unpack_from)
            for number, group in enumerate(self.packed)
        ]
        columns = {}
        for row in rows:
            values = row[keys:end]
            for place, unpack in readers:
                doubles = unpack(row[place], _HEAD_BYTES)
                values += doubles if not row[place + 1] else _restore_nulls(doubles, row[place + 1])
            columns[row[:keys]] = dict(zip(names, values, strict=True))
        return columns


def build_online_selects(use_case: UseCase) -> tuple[OnlineSelect, ...]:
    """One SELECT per view; of views with a max age it selects the event time, too."""
    cached = _selects.get(use_case.name)
    # By identity: comparing two declarations takes longer than building the statements.
    if cached is None or cached[0] is not use_case:
        cached = _selects[use_case.name] = (
            use_case,
            tuple(_build_online_select(use_case, view) for view in use_case.views),
        )
    return cached[1]


def _build_online_select(use_case: UseCase, view: FeatureView) -> OnlineSelect:
    doubles = [feature.name for feature in view.features if feature.dtype == "float"]
    groups = [tuple(doubles[n : n + _MOST]) for n in range(0, len(doubles), _MOST)]
    packed_groups = tuple(group for group in groups if len(group) >= _FEWEST)
    in_groups = {name for group in packed_groups for name in group}
    plain = tuple(name for name in view.feature_names if name not in in_groups)
    if view.max_age is not None:
        plain = (*plain, EVENT_TIME)
    keys = use_case.entity.key_names
    columns = [*(f"`{name}`" for name in (*keys, *plain)), *(_pack_columns(group) for group in packed_groups)]
    names = ", ".join(f"`{name}`" for name in keys)
    return OnlineSelect(
        head=f"SELECT {', '.join(columns)} FROM `{use_case.online_table(view)}`"  # noqa: S608  checked names
        f" WHERE {names if len(keys) == 1 else f'({names})'} IN",
        keys=len(keys),
        plain=plain,
        packed=packed_groups,
    )


def _restore_nulls(doubles: tuple[float, ...], nulls: int) -> tuple[float | None, ...]:
    restored: list[float | None] = list(doubles)
    while nulls:
        restored[(nulls & -nulls).bit_length() - 1] = None
        nulls &= nulls - 1
    return tuple(restored)


def _pack_columns(names: Sequence[str]) -> str:
    values = [f"IFNULL(`{name}`,0)" for name in names] + ["0"] * (len(names) % 2)
    points = ",".join(f"POINT({x},{y})" for x, y in zip(values[::2], values[1::2], strict=True))
    nulls = "|".join(f"ISNULL(`{name}`)<<{bit}" for bit, name in enumerate(names))
    return f"AsWKB(LINESTRING({points})), {nulls}"
