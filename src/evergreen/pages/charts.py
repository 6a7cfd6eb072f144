"""Small charts inside HTML: bars, dots and legends as boxes whose look is in `page.css`.

Larger charts, which are files as well, are SVG: see `drawing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from evergreen.pages.axis import Ends
from evergreen.pages.colours import GREEN, PALE, choose_colour
from evergreen.pages.numbers import choose_decimals, format_number
from evergreen.pages.page import Html


def render_legend(names: Sequence[str], colours: Sequence[str] = ()) -> Html:
    """Which colour is which name; without `colours` those of classes in their order."""
    keys = "".join(
        '<span class="item"><span class="key" style="background:'
        f'{colours[i] if colours else choose_colour(i)}"></span>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return Html(f'<p class="soft legend">{keys}</p>')


def render_stacked_bar(shares: Mapping[str, float]) -> Html:
    """Shares of one whole, by name, side by side."""
    parts = "".join(
        f'<i style="width:{share:.2%};background:{choose_colour(i)}" title="{escape(name)}: {share:.1%}"></i>'
        for i, (name, share) in enumerate(shares.items())
    )
    return Html(f'<div class="shares">{parts}</div>')


def render_bar(share: float, tint: str = PALE) -> Html:
    """A bar over that share (0 to 1) of the cell that it stands in."""
    return Html(f'<div class="rows" style="width:{min(1.0, max(0.0, share)):.1%};background:{tint}"></div>')


def render_dot(
    value: float, ends: Ends, interval: Ends | None = None, tint: str = GREEN, line: float | None = None
) -> Html:
    """A value as a dot on a track between two ends, over a band for its interval.

    `line` marks another value. A value beyond the ends becomes an arrow at that end.
    """

    def locate(number: float) -> float:
        """Where a number is on the track, from 0 to 1."""
        share = (number - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5
        return min(1.0, max(0.0, share))

    parts = "" if line is None else f'<i class="line" style="left:{locate(line):.2%}"></i>'
    if interval is not None:
        low, high = locate(interval[0]), locate(interval[1])
        parts += f'<i class="span" style="left:{low:.2%};width:{high - low:.2%};background:{tint}"></i>'
    slack = 1e-9 * max(1.0, abs(ends[0]), abs(ends[1]))
    if ends[0] - slack <= value <= ends[1] + slack:
        parts += f'<i class="dot" style="left:{locate(value):.2%};background:{tint}"></i>'
    else:
        side, arrow = ("left", "◂") if value < ends[0] else ("right", "▸")
        parts += f'<i class="off" style="{side}:0;color:{tint}">{arrow}</i>'
    return Html(f'<div class="track">{parts}</div>')


def render_scale(ends: Ends) -> Html:
    """The heading of a column of dots: the two ends that they lie between."""
    places = choose_decimals(ends[1] - ends[0]) - 1
    low, high = (format_number(end, max(0, places)) for end in ends)
    return Html(f'<div class="ends"><span>{low}</span><span>{high}</span></div>')
