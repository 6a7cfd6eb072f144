"""A square matrix of counts as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.pages.colours import INK, LINE, mix_with_white
from evergreen.pages.drawing import SMALL_SIZE, Drawing, draw_text, estimate_width

_MOST_NUMBERED = 14  # a matrix of more names shows colours only
_LEVELS = 20  # so many shades of a cell are told apart
_MOST_SIDE = 620  # of a matrix without numbers, in pixels
_MOST_NAME = 150
_LEAST_LABELLED = 10  # cells that are smaller than this have a name at every second or third only


def draw_confusion_matrix(
    names: Sequence[str], counts: Sequence[Sequence[int]], x_title: str = "predicted", y_title: str = "true"
) -> Drawing:
    """Counts by row and column, each cell coloured by its share of its row.

    Up to 14 names the cells hold count and share. `counts` has a row per name, and in it a number per name.
    """
    numbered = len(names) <= _MOST_NUMBERED
    longest = max([estimate_width(f"{count:,}") for row in counts for count in row], default=0.0)
    wide = max(56.0, longest + 12) if numbered else max(3.0, min(20.0, _MOST_SIDE / max(1, len(names))))
    high = 42.0 if numbered else wide
    widest = max([estimate_width(name, SMALL_SIZE) for name in names], default=0.0)
    left = max(min(_MOST_NAME, widest), estimate_width(f"{y_title} ↓")) + 12
    upright = not numbered or widest > wide - 4
    top = 24.0 + (min(_MOST_NAME, widest) + 8 if upright and not numbered else 16 + (upright and 34))
    parts = [
        draw_text(left, 14, f"{x_title} →"),
        draw_text(left - 10, top - 8, f"{y_title} ↓", anchor="end"),
    ]
    every = 1 if high >= _LEAST_LABELLED else round(_LEAST_LABELLED / high + 0.5)
    for i, name in enumerate(names):
        if i % every:
            continue
        y, x = top + high * (i + 0.5) + 4, left + wide * (i + 0.5)
        parts.append(
            draw_text(
                left - 8, y, name, anchor="end", size=SMALL_SIZE, tint=INK, width=min(_MOST_NAME, widest)
            )
        )
        if not numbered:
            parts.append(
                draw_text(x + 4, top - 6, name, size=SMALL_SIZE, tint=INK, angle=-90, width=_MOST_NAME)
            )
        elif upright:
            parts.append(draw_text(x - 8, top - 7, name, size=SMALL_SIZE, tint=INK, angle=-30, width=92))
        else:
            parts.append(draw_text(x, top - 7, name, anchor="middle", size=SMALL_SIZE, tint=INK))
    parts += _draw_cells(counts, left, top, wide, high)
    side = wide * len(names), high * len(names)
    parts.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{side[0]:.1f}" height="{side[1]:.1f}" fill="none"'
        f' stroke="{LINE}"/>'
    )
    if numbered:
        parts += _draw_counts(counts, left, top, wide, high)
    overhang = 70 if numbered and upright else 4
    return Drawing(left + side[0] + overhang, top + side[1] + 2, "".join(parts), f"{y_title} by {x_title}")


def _draw_cells(
    counts: Sequence[Sequence[int]], left: float, top: float, wide: float, high: float
) -> list[str]:
    """The coloured cells, those of one shade as one path."""
    paths: dict[int, list[str]] = {}
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            level = round(_LEVELS * count / max(1, sum(row)))
            if level:
                cell = f"M{left + wide * j:.1f} {top + high * i:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
                paths.setdefault(level, []).append(cell)
    return [
        f'<path d="{"".join(cells)}" fill="{mix_with_white(level / _LEVELS)}"/>'
        for level, cells in sorted(paths.items())
    ]


def _draw_counts(
    counts: Sequence[Sequence[int]], left: float, top: float, wide: float, high: float
) -> list[str]:
    parts = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(1, sum(row))
            x, y = left + wide * (j + 0.5), top + high * (i + 0.5)
            tint = "white" if share > 0.6 else INK
            parts.append(draw_text(x, y - 2, f"{count:,}", anchor="middle", tint=tint))
            parts.append(draw_text(x, y + 13, f"{share:.0%}", anchor="middle", size=SMALL_SIZE, tint=tint))
    return parts
