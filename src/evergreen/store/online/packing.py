"""How online vectors travel: whole numbers and texts as they are, floating-point numbers packed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

# A LineString's bytes before its coordinates: byte order, type, number of points.
_HEAD_BYTES = 9
_MOST = 60  # their NULL bits fit into one BIGINT
_FEWEST = 3  # a LineString has two points at least

_made: dict[str, tuple[UseCase, tuple[OnlineSelect, ...]]] = {}


@dataclass(frozen=True)
class OnlineSelect:
    """The SELECT of a view's online table, up to its list of keys, and how to read its rows.

    The protocol prints each DOUBLE in decimal and the driver parses it again, which takes half the time of
    a batch of keys. Geometries are sent as they are stored; so doubles travel as the coordinates of
    LineStrings, each beside a whole number whose bits say which of them are NULL.
    """

    head: str
    keys: int
    plain: tuple[str, ...]
    packed: tuple[tuple[str, ...], ...]

    def decode(self, rows: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The values by name, by key tuple."""
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
    """One SELECT per view. Views with a max age give their event time, too."""
    existing = _made.get(use_case.name)
    # By identity: to compare two declarations takes longer than to make this anew.
    if existing is None or existing[0] is not use_case:
        existing = _made[use_case.name] = (
            use_case,
            tuple(_build_online_select(use_case, view) for view in use_case.views),
        )
    return existing[1]


def _build_online_select(use_case: UseCase, view: FeatureView) -> OnlineSelect:
    doubles = [feature.name for feature in view.features if feature.dtype == "float"]
    groups = [tuple(doubles[n : n + _MOST]) for n in range(0, len(doubles), _MOST)]
    packed_groups = tuple(group for group in groups if len(group) >= _FEWEST)
    travelling = {name for group in packed_groups for name in group}
    plain = tuple(name for name in view.feature_names if name not in travelling)
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
