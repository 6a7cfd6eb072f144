"""The figures of a declared slice: metrics by group of rows, and how far the groups differ.

`model/judging/slices.py` computes them; these classes are their typed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evergreen.training.json_values import JsonObject

# Metrics by name; None where one is undefined.
Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class GroupFigures:
    """The metrics of one group. `judged` is False where it has too few rows for its figures to count."""

    name: str
    rows: int
    judged: bool
    values: Figures

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return {"name": self.name, "rows": self.rows, "judged": self.judged, "values": dict(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GroupFigures:
        """What `to_json` returned."""
        return cls(data["name"], data["rows"], data["judged"], data["values"])


@dataclass(frozen=True)
class SliceFigures:
    """The groups of a sliced `feature`; the slice's limits are on `metric`.

    `difference` (greatest minus smallest) and `ratio` (smallest by greatest) are over the judged groups.
    """

    feature: str
    sensitive: bool
    metric: str
    groups: tuple[GroupFigures, ...]
    difference: Figures
    ratio: Figures

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return {
            "feature": self.feature,
            "sensitive": self.sensitive,
            "metric": self.metric,
            "groups": [group.to_json() for group in self.groups],
            "difference": dict(self.difference),
            "ratio": dict(self.ratio),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SliceFigures:
        """What `to_json` returned, or `model.judging.slices.compute_slice_metrics`."""
        return cls(
            feature=data["feature"],
            sensitive=data["sensitive"],
            metric=data["metric"],
            groups=tuple(GroupFigures.from_json(group) for group in data["groups"]),
            difference=data["difference"],
            ratio=data["ratio"],
        )
