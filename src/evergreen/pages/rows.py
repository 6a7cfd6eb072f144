"""Rows of named values, drawn as bars or as dots on a common scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import GREEN, INK, LINE, SOFT
from evergreen.pages.drawing import Drawing, draw_text, estimate_width

_ROW_HEIGHT = 22
_MOST_NAME = 0.42  # of the drawing's width, for the names on the left


@dataclass(frozen=True)
class NamedValue:
    """A row: name on the left, value as a bar or dot, texts on the right; pale where it counts less."""

    name: str
    value: float
    texts: tuple[str, ...]
    pale: bool = False


def draw_bars(rows: Sequence[NamedValue], label: str, *, width: float = 560, tint: str = GREEN) -> Drawing:
    """A bar from zero per row, from top to bottom, with its texts at its end. Values are not negative."""
    start = _measure_names(rows, width)
    room = max([30.0, *(estimate_width(_join_texts(row)) for row in rows)]) + 10
    most = max([0.0, *(row.value for row in rows)]) or 1.0
    parts = []
    for number, row in enumerate(rows):
        y = _ROW_HEIGHT * number
        length = max(0.0, row.value) / most * (width - start - room)
        parts.append(_draw_name(row, start, y))
        parts.append(f'<rect x="{start:.1f}" y="{y + 4}" width="{length:.1f}" height="14" fill="{tint}"/>')
        parts.append(draw_text(start + length + 6, y + 15.5, _join_texts(row)))
    return Drawing(width, _ROW_HEIGHT * len(rows), "".join(parts), label)


def draw_dots(
    rows: Sequence[NamedValue],
    label: str,
    *,
    headings: Sequence[str],
    width: float = 400,
    tint: str = GREEN,
) -> Drawing:
    """A dot per row on one scale, hollow for pale rows; the rows' texts are right-aligned columns.

    `headings` has one for each of a row's texts.
    """
    cells = [[heading, *(row.texts[i] for row in rows)] for i, heading in enumerate(headings)]
    widths = [max(map(estimate_width, column)) + 14 for column in cells]
    start = _measure_names(rows, width)
    end = width - sum(widths) - 8
    axis = build_number_axis([row.value for row in rows], margin=0.08, about=3)
    top = 24
    parts = []
    for i, text in enumerate(headings):
        parts.append(draw_text(width - sum(widths[i + 1 :]), 12, text, anchor="end"))
    ends = [axis.ticks[0], axis.ticks[-1]] if len(axis.ticks) > 1 else list(axis.ticks)
    for mark, text in ends:
        x = start + axis.locate(mark) * (end - start)
        parts.append(f'<path d="M{x:.1f} {top - 4}V{top + _ROW_HEIGHT * len(rows)}" stroke="{LINE}"/>')
        parts.append(draw_text(x, 12, text, anchor="middle"))
    for number, row in enumerate(rows):
        y = top + _ROW_HEIGHT * number
        x = start + axis.locate(row.value) * (end - start)
        middle = y + _ROW_HEIGHT / 2
        parts.append(_draw_name(row, start, y))
        parts.append(f'<path d="M{start:.1f} {middle:.1f}H{end:.1f}" stroke="{LINE}"/>')
        fill = "white" if row.pale else tint
        parts.append(
            f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="5" fill="{fill}" stroke="{tint}" stroke-width="1.5"/>'
        )
        ink = SOFT if row.pale else INK
        for i, text in enumerate(row.texts):
            parts.append(draw_text(width - sum(widths[i + 1 :]), y + 15.5, text, anchor="end", tint=ink))
    return Drawing(width, top + _ROW_HEIGHT * len(rows), "".join(parts), label)


def _measure_names(rows: Sequence[NamedValue], width: float) -> float:
    """Where the values begin, right of the names."""
    return min(_MOST_NAME * width, max([20.0, *(estimate_width(row.name) for row in rows)]) + 12)


def _draw_name(row: NamedValue, start: float, y: float) -> str:
    ink = SOFT if row.pale else INK
    return draw_text(start - 10, y + 15.5, row.name, anchor="end", tint=ink, width=start - 10)


def _join_texts(row: NamedValue) -> str:
    return "   ".join(row.texts)
