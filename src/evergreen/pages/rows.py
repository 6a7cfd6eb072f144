"""Rows of named values, drawn as bars or as dots on a common scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import GREEN, INK, LINE, SOFT
from evergreen.pages.drawing import Drawing, draw_text, estimate_width, group_texts
from evergreen.pages.plot import Curve, draw_curve_dots

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
    names, bars, texts = [], [], []
    for number, row in enumerate(rows):
        middle = _ROW_HEIGHT * (number + 0.5)
        length = max(0.0, row.value) / most * (width - start - room)
        names.append(_draw_name(row, start, middle))
        bars.append(f"M{start:.1f} {middle - 7:g}h{length:.1f}v14h-{length:.1f}z")
        texts.append(draw_text(start + length + 6, middle + 4.5, _join_texts(row)))
    parts = [group_texts(names, anchor="end", tint=INK), f'<path d="{"".join(bars)}" fill="{tint}"/>', *texts]
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
    places = [width - sum(widths[i + 1 :]) for i in range(len(widths))]
    marks = [axis.ticks[0], axis.ticks[-1]] if len(axis.ticks) > 1 else list(axis.ticks)
    bottom = top + _ROW_HEIGHT * len(rows)

    def place_x(value: float) -> float:
        """The pixel of a value on the common scale."""
        return start + axis.locate(value) * (end - start)

    middles = [top + _ROW_HEIGHT * (number + 0.5) for number in range(len(rows))]
    lines = [f"M{place_x(mark):.1f} {top - 4}V{bottom}" for mark, _ in marks]
    lines += [f"M{start:.1f} {middle:g}H{end:.1f}" for middle in middles]
    parts = [
        f'<path d="{"".join(lines)}" stroke="{LINE}" fill="none"/>',
        group_texts([draw_text(place_x(mark), 12, text) for mark, text in marks], anchor="middle"),
        group_texts([draw_text(x, 12, text) for x, text in zip(places, headings, strict=True)], anchor="end"),
    ]
    for pale, ink in ((False, INK), (True, SOFT)):
        some = [(row, middle) for row, middle in zip(rows, middles, strict=True) if row.pale is pale]
        texts = [_draw_name(row, start, middle) for row, middle in some]
        texts += [
            draw_text(x, middle + 4.5, text)
            for row, middle in some
            for x, text in zip(places, row.texts, strict=True)
        ]
        parts.append(group_texts(texts, anchor="end", tint=ink))
        dots = Curve("", [(place_x(row.value), middle) for row, middle in some], tint, hollow=pale, size=11)
        parts.append(draw_curve_dots(dots, dots.points))
    return Drawing(width, bottom, "".join(parts), label)


def _measure_names(rows: Sequence[NamedValue], width: float) -> float:
    """Where the values begin, right of the names."""
    return min(_MOST_NAME * width, max([20.0, *(estimate_width(row.name) for row in rows)]) + 12)


def _draw_name(row: NamedValue, start: float, middle: float) -> str:
    return draw_text(start - 10, middle + 4.5, row.name, width=start - 10)


def _join_texts(row: NamedValue) -> str:
    return "   ".join(row.texts)
