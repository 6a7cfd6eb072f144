"""The figures of a declared slice: metrics by group of rows, and how far the groups differ.

`model/judging/slices.py` computes them; these classes are their typed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evergreen.documents import JsonObject, read_document, write_document

# Metrics by name; None where one is undefined.
Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class GroupFigures:
    """The metrics of one group. `judged` is False where it has too few rows for its figures to count."""

    name: str
    rows: int
    judged: bool
    values: Figures


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
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> SliceFigures:
        """What `to_json` returned, or `model.judging.slices.compute_slice_metrics`."""
        return read_document(SliceFigures, document)
