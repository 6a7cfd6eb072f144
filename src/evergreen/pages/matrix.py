"""A square matrix of counts as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.pages.colours import INK, LINE, mix_with_white
from evergreen.pages.drawing import SMALL_SIZE, Drawing, draw_text, estimate_width, group_texts

Counts = Sequence[Sequence[int]]

_MOST_NUMBERED = 14  # a matrix of more names shows colours only
_LEVELS = 20  # so many shades of a cell are told apart
_MOST_SIDE = 620  # of a matrix without numbers, in pixels
_MOST_NAME = 150  # pixels for a name; a longer one is cut
_MOST_SLANTED_NAME = 92
_LEAST_LABELLED = 10  # cells that are smaller than this have a name at every second or third only


@dataclass(frozen=True)
class _Layout:
    """Where the matrix begins, and the size of a cell, in pixels.

    The names of the columns stand upright in a matrix without numbers, else level, or slanted where they are
    wider than a cell.
    """

    left: float
    top: float
    cell_width: float
    cell_height: float
    numbered: bool
    slanted: bool

    def find_middle(self, row: int, column: int) -> tuple[float, float]:
        """The middle (x, y) of a cell."""
        return self.left + self.cell_width * (column + 0.5), self.top + self.cell_height * (row + 0.5)


def draw_confusion_matrix(
    names: Sequence[str], counts: Counts, x_title: str = "predicted", y_title: str = "true"
) -> Drawing:
    """Counts by row and column, each cell coloured by its share of its row.

    Up to 14 names the cells hold count and share. `counts` has a row per name, and in it a number per name.
    """
    layout = _choose_layout(names, counts, y_title)
    left, top = layout.left, layout.top
    width, height = layout.cell_width * len(names), layout.cell_height * len(names)
    parts = [
        draw_text(left, 14, f"{x_title} →"),
        draw_text(left - 10, top - 8, f"{y_title} ↓", anchor="end"),
        *_draw_names(names, layout),
        *_draw_cells(counts, layout),
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none"'
        f' stroke="{LINE}"/>',
        *(_draw_counts(counts, layout) if layout.numbered else ()),
    ]
    overhang = 70 if layout.slanted else 4
    return Drawing(left + width + overhang, top + height + 2, "".join(parts), f"{y_title} by {x_title}")


def _choose_layout(names: Sequence[str], counts: Counts, y_title: str) -> _Layout:
    numbered = len(names) <= _MOST_NUMBERED
    widest_count = max([estimate_width(f"{count:,}") for row in counts for count in row], default=0.0)
    small = max(3.0, min(20.0, _MOST_SIDE / max(1, len(names))))
    cell_width = max(56.0, widest_count + 12) if numbered else small
    widest = max([estimate_width(name, SMALL_SIZE) for name in names], default=0.0)
    slanted = numbered and widest > cell_width - 4
    left = max(min(_MOST_NAME, widest), estimate_width(f"{y_title} ↓")) + 12
    top = 24.0 + (50 if slanted else 16 if numbered else min(_MOST_NAME, widest) + 8)
    return _Layout(left, top, cell_width, 42.0 if numbered else small, numbered, slanted)


def _draw_names(names: Sequence[str], layout: _Layout) -> list[str]:
    """The names of the rows, on the left, and those of the columns, on top."""
    size = layout.cell_height
    every = 1 if size >= _LEAST_LABELLED else round(_LEAST_LABELLED / size + 0.5)
    rows, columns = [], []
    for i, name in list(enumerate(names))[::every]:
        x, y = layout.find_middle(i, i)
        rows.append(draw_text(layout.left - 8, y + 4, name, width=_MOST_NAME))
        if layout.slanted:
            columns.append(draw_text(x - 8, layout.top - 7, name, angle=-30, width=_MOST_SLANTED_NAME))
        elif layout.numbered:
            columns.append(draw_text(x, layout.top - 7, name))
        else:
            columns.append(draw_text(x + 4, layout.top - 6, name, angle=-90, width=_MOST_NAME))
    level = layout.numbered and not layout.slanted
    return [
        group_texts(rows, anchor="end", size=SMALL_SIZE, tint=INK),
        group_texts(columns, anchor="middle" if level else "start", size=SMALL_SIZE, tint=INK),
    ]


def _draw_cells(counts: Counts, layout: _Layout) -> list[str]:
    """The coloured cells, those of one shade as one path."""
    paths: dict[int, list[str]] = {}
    wide, high = layout.cell_width, layout.cell_height
    for i, row in enumerate(counts):
        total = max(1, sum(row))
        for j, count in enumerate(row):
            level = round(_LEVELS * count / total)
            if level:
                x, y = layout.left + wide * j, layout.top + high * i
                cell = f"M{x:.1f} {y:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
                paths.setdefault(level, []).append(cell)
    return [
        f'<path d="{"".join(cells)}" fill="{mix_with_white(level / _LEVELS)}"/>'
        for level, cells in sorted(paths.items())
    ]


def _draw_counts(counts: Counts, layout: _Layout) -> list[str]:
    """Count and share in each cell, white where the cell is dark."""
    parts = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(1, sum(row))
            x, y = layout.find_middle(i, j)
            tint = "white" if share > 0.6 else INK
            parts.append(draw_text(x, y - 2, f"{count:,}", anchor="middle", tint=tint))
            parts.append(draw_text(x, y + 13, f"{share:.0%}", anchor="middle", size=SMALL_SIZE, tint=tint))
    return parts
