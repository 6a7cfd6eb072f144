"""Charts without a script: bars and dots as styled boxes, curves as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from evergreen.pages.colours import GREEN, LINE, PALE, choose_colour
from evergreen.pages.numbers import choose_decimals, choose_tick_decimals, compute_ticks, format_number
from evergreen.pages.page import Html

Ends = tuple[float, float]
AxisMapping = Callable[[float], float]

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 500, 58, 14, 30, 42
_FOOT = 62  # what a histogram below adds to the height


def render_legend(names: Sequence[str], colours: Sequence[str] = ()) -> Html:
    """Which colour is which class."""
    keys = "".join(
        '<span class="item"><span class="key" style="background:'
        f'{colours[i] if colours else choose_colour(i)}"></span>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return Html(f'<p class="soft legend">{keys}</p>')


def render_stacked_bar(shares: Mapping[str, float]) -> Html:
    """Shares of one whole side by side."""
    parts = "".join(
        f'<i style="width:{share:.2%};background:{choose_colour(i)}" title="{escape(name)}: {share:.1%}"></i>'
        for i, (name, share) in enumerate(shares.items())
    )
    return Html(f'<div class="shares">{parts}</div>')


def render_bar(share: float, tint: str = PALE) -> Html:
    """A bar over that share of its cell."""
    return Html(f'<div class="rows" style="width:{min(1.0, max(0.0, share)):.1%};background:{tint}"></div>')


def render_dot(
    value: float, ends: Ends, interval: Ends | None = None, tint: str = GREEN, line: float | None = None
) -> Html:
    """A value as a dot between two ends, on its interval; `line` marks a place. Beyond the ends: an arrow."""

    def place(number: float) -> float:
        share = (number - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5
        return min(1.0, max(0.0, share))

    parts = "" if line is None else f'<i class="line" style="left:{place(line):.2%}"></i>'
    if interval is not None:
        low, high = place(interval[0]), place(interval[1])
        parts += f'<i class="span" style="left:{low:.2%};width:{high - low:.2%};background:{tint}"></i>'
    slack = 1e-9 * max(1.0, abs(ends[0]), abs(ends[1]))
    if ends[0] - slack <= value <= ends[1] + slack:
        parts += f'<i class="dot" style="left:{place(value):.2%};background:{tint}"></i>'
    else:
        side, arrow = ("left", "◂") if value < ends[0] else ("right", "▸")
        parts += f'<i class="off" style="{side}:0;color:{tint}">{arrow}</i>'
    return Html(f'<div class="track">{parts}</div>')


def render_scale(ends: Ends) -> Html:
    """The two ends that a column of dots lies between, as its heading."""
    places = choose_decimals(ends[1] - ends[0]) - 1
    low, high = (format_number(end, max(0, places)) for end in ends)
    return Html(f'<div class="ends"><span>{low}</span><span>{high}</span></div>')


@dataclass(frozen=True)
class Curve:
    """Points (x, y) of one colour: joined by a line, or loose dots, full or hollow."""

    name: str
    points: Sequence[tuple[float, float]]
    tint: str = GREEN
    line: bool = True
    dots: bool = True
    hollow: bool = False


def render_plot(
    curves: Sequence[Curve],
    x_title: str,
    y_title: str,
    *,
    x_ends: Ends | None = None,
    y_ends: Ends | None = None,
    diagonal: bool = False,
    below: Sequence[tuple[float, float]] = (),
    below_title: str = "",
    height: int = 290,
) -> Html:
    """Curves over one pair of axes; `diagonal` draws x = y, `below` a histogram (x, count) under it."""
    points = [point for curve in curves for point in curve.points]
    across = x_ends or _pad_range([x for x, _ in points], 0.04)
    up = y_ends or _pad_range([y for _, y in points], 0.08)
    floor = height - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + (value - across[0]) / (across[1] - across[0]) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return floor - (value - up[0]) / (up[1] - up[0]) * (floor - _TOP)

    foot = _FOOT if below else 0
    total = height + foot
    parts = [
        _render_grid(up, y, (_LEFT, _WIDTH - _RIGHT)),
        _render_x_labels(across, x, floor + foot),
        f'<text x="{_LEFT}" y="14">{escape(y_title)}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{total - 6}" text-anchor="end">{escape(x_title)}</text>',
    ]
    if diagonal:
        low, high = max(across[0], up[0]), min(across[1], up[1])
        parts.append(f'<path d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}" class="guide"/>')
    for curve in curves:
        parts.append(_render_curve(curve, [(x(a), y(b)) for a, b in curve.points]))
    if below:
        most = max(count for _, count in below) or 1
        wide = 0.55 * (_WIDTH - _LEFT - _RIGHT) / max(8, len(below))
        base, tall = floor + foot, foot - 22
        parts += [
            f'<rect x="{x(a) - wide / 2:.1f}" y="{base - tall * count / most:.1f}" width="{wide:.1f}"'
            f' height="{tall * count / most:.1f}" fill="{PALE}"/>'
            for a, count in below
        ]
        parts.append(f'<path d="M{_LEFT} {base}H{_WIDTH - _RIGHT}" stroke="{LINE}"/>')
        parts.append(f'<text x="{_LEFT}" y="{floor + 16}">{escape(below_title)}</text>')
    said = f'role="img" aria-label="{escape(f"{y_title} by {x_title}")}"'
    return Html(f'<svg class="plot" viewBox="0 0 {_WIDTH} {total}" {said}>{"".join(parts)}</svg>')


def _pad_range(values: Sequence[float], margin: float) -> Ends:
    """The least and the greatest value, and some room."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) * margin or abs(low) * 0.1 or 1.0
    return low - room, high + room


def _render_grid(ends: Ends, place: AxisMapping, sides: tuple[int, int]) -> str:
    marks = compute_ticks(*ends)
    places = choose_tick_decimals(marks)
    return "".join(
        f'<path d="M{sides[0]} {place(mark):.1f}H{sides[1]}" stroke="{LINE}"/>'
        f'<text x="{sides[0] - 8}" y="{place(mark) + 4:.1f}" text-anchor="end">'
        f"{format_number(mark, places)}</text>"
        for mark in marks
    )


def _render_x_labels(ends: Ends, place: AxisMapping, floor: int) -> str:
    marks = compute_ticks(*ends)
    places = choose_tick_decimals(marks)
    return "".join(
        f'<text x="{place(mark):.1f}" y="{floor + 18}" text-anchor="middle">'
        f"{format_number(mark, places)}</text>"
        for mark in marks
    )


def _render_curve(curve: Curve, points: Sequence[tuple[float, float]]) -> str:
    """One path for the line and one for all dots: a page of a thousand trials stays small."""
    if not points:
        return ""
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    parts = ""
    if curve.line:
        parts += f'<path d="M{line}" fill="none" stroke="{curve.tint}" stroke-width="2"/>'
    if curve.dots:
        spots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        parts += f'<path d="{spots}" class="dots" stroke="{curve.tint}"/>'
        if curve.hollow:
            parts += f'<path d="{spots}" class="dots" stroke="white" style="stroke-width:4"/>'
    return parts
