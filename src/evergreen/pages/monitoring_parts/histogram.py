"""Histograms of one feature: the reference as wide pale columns or bars, the window as narrow ones."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.pages.colours import INK, LINE, PALE, SOFT
from evergreen.pages.drawing import SMALL_SIZE, Drawing, draw_text, estimate_width, group_texts
from evergreen.pages.monitoring_parts.feature_facts import OTHER, Bin, FeatureFacts
from evergreen.pages.monitoring_parts.words import get_tint
from evergreen.pages.numbers import compute_ticks, format_number, format_percent

WIDTH = 340
_PLOT_HEIGHT = 118
_LEFT, _FOOT = 36, 22
_ROW_HEIGHT = 21
_MOST_NAMES = 10
_MOST_COLUMNS = 40


def draw_histogram(feature: FeatureFacts) -> Drawing | None:
    """The shares of rows by bin, reference against window; None for a feature without bins."""
    if not feature.bins and feature.missing is None:
        return None
    if feature.numeric and len(feature.bins) <= _MOST_COLUMNS and _has_edges(feature.bins):
        drawing = _draw_columns(feature)
    else:
        drawing = _draw_bars(feature)
    label = f"{feature.name}: shares of rows by value, reference against window. "
    label += "; ".join(
        f"{each.name}: {format_percent(each.reference)}, now {format_percent(each.current)}"
        for each in _select_names(feature)[:_MOST_NAMES]
    )
    return Drawing(drawing.width, drawing.height, drawing.body, label)


def _has_edges(bins: Sequence[Bin]) -> bool:
    return all(each.upper is not None for each in bins[:-1])


def _draw_columns(feature: FeatureFacts) -> Drawing:
    """Columns of a numeric feature in the order of its values, with the edges below; missing values apart."""
    right = WIDTH - (52 if feature.missing else 6)
    step = (right - _LEFT) / max(1, len(feature.bins))
    columns = [(_LEFT + n * step, step, each) for n, each in enumerate(feature.bins)]
    if feature.missing:
        columns.append((WIDTH - 40.0, 34.0, feature.missing))
    most = max([1e-9, *(share for *_, each in columns for share in (each.reference, each.current))])
    top, bottom = 8.0, 8.0 + _PLOT_HEIGHT

    def place_y(share: float) -> float:
        """The pixel of a share."""
        return bottom - share / most * _PLOT_HEIGHT

    marks = [mark for mark in compute_ticks(0.0, most, 3) if mark <= most]
    grid = "".join(f"M{_LEFT} {place_y(mark):.1f}H{WIDTH}" for mark in marks)
    labels = [draw_text(_LEFT - 6, place_y(mark) + 4, _format_share(mark), size=SMALL_SIZE) for mark in marks]
    pale, dark = [], []
    for x, width, each in columns:
        pale.append(f"M{x + 1:.1f} {bottom}V{place_y(each.reference):.1f}h{width - 2:.1f}V{bottom}z")
        inner = max(2.0, (width - 2) * 0.42)
        left = x + (width - inner) / 2
        dark.append(f"M{left:.1f} {bottom}V{place_y(each.current):.1f}h{inner:.1f}V{bottom}z")
    parts = [
        f'<path d="{grid}" stroke="{LINE}" fill="none"/>',
        group_texts(labels, anchor="end", size=SMALL_SIZE),
        f'<path d="{"".join(pale)}" fill="{PALE}"/>',
        f'<path d="{"".join(dark)}" fill="{get_tint(feature.severity)}"/>',
        *_draw_edges(feature.bins, step, right, bottom),
    ]
    if feature.missing:
        parts.append(draw_text(WIDTH - 23, bottom + 15, "missing", anchor="middle", size=SMALL_SIZE))
    return Drawing(WIDTH, top + _PLOT_HEIGHT + _FOOT, "".join(parts), "")


def _draw_edges(bins: Sequence[Bin], step: float, right: float, bottom: float) -> list[str]:
    """The edges between the columns, as many as there is room for."""
    texts, end = [], -1.0
    for number, each in enumerate(bins[:-1], start=1):
        text = format_number(each.upper)
        at, half = _LEFT + number * step, estimate_width(text, SMALL_SIZE) / 2
        if at - half < end + 6 or at + half > right + 4:
            continue
        texts.append(draw_text(at, bottom + 15, text, size=SMALL_SIZE))
        end = at + half
    return [group_texts(texts, anchor="middle", size=SMALL_SIZE)]


def _draw_bars(feature: FeatureFacts) -> Drawing:
    """A bar per name, the most frequent on top, with both shares at its end."""
    rows = _select_names(feature)
    start = min(0.4 * WIDTH, max(estimate_width(each.name, SMALL_SIZE) for each in rows) + 10)
    room = 92.0
    most = max([1e-9, *(share for each in rows for share in (each.reference, each.current))])
    names, pale, dark, texts = [], [], [], []
    for number, each in enumerate(rows):
        middle = _ROW_HEIGHT * (number + 0.5) + 2
        scale = (WIDTH - start - room) / most
        names.append(draw_text(start - 8, middle + 4, each.name, size=SMALL_SIZE, width=start - 8))
        before, now = each.reference * scale, each.current * scale
        pale.append(f"M{start:.1f} {middle - 7:g}h{before:.1f}v14h-{before:.1f}z")
        dark.append(f"M{start:.1f} {middle - 3:g}h{now:.1f}v6h-{now:.1f}z")
        shares = f"{_format_share(each.reference)} → {_format_share(each.current)}"
        texts.append(draw_text(WIDTH, middle + 4, shares, size=SMALL_SIZE))
    parts = [
        group_texts(names, anchor="end", size=SMALL_SIZE, tint=INK),
        f'<path d="{"".join(pale)}" fill="{PALE}"/>',
        f'<path d="{"".join(dark)}" fill="{get_tint(feature.severity)}"/>',
        group_texts(texts, anchor="end", size=SMALL_SIZE, tint=SOFT),
    ]
    return Drawing(WIDTH, _ROW_HEIGHT * len(rows) + 4, "".join(parts), "")


def _select_names(feature: FeatureFacts) -> list[Bin]:
    """The bins that are shown: the greatest, then all others together, then the missing values."""
    names = [each for each in feature.bins if each.name != OTHER]
    most_frequent, rest = names[:_MOST_NAMES], names[_MOST_NAMES:]
    others = rest + [each for each in feature.bins if each.name == OTHER]
    rows = list(most_frequent)
    if others:
        name = f"{len(rest)} more and other" if rest else "other"
        rows.append(Bin(name, sum(b.reference for b in others), sum(b.current for b in others)))
    if feature.missing:
        rows.append(Bin("missing", feature.missing.reference, feature.missing.current))
    return rows


def _format_share(share: float) -> str:
    """A share in percent, with a decimal where it is small."""
    if 0 < share < 0.0095:
        return format_percent(share)
    return f"{share:.0%}"
