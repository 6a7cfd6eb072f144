"""Wide charts for two widths of the screen: scaled down to a phone, their texts could not be read."""

from __future__ import annotations

from collections.abc import Callable

from evergreen.pages.drawing import Drawing
from evergreen.pages.page import Html

_WIDE, _NARROW = 900.0, 380.0


def render_two_widths(draw: Callable[[float], Drawing]) -> Html:
    """The drawing in both widths; the style sheet shows the one that fits, to screen readers too."""
    wide, narrow = draw(_WIDE), draw(_NARROW)
    return Html(f'<div class="wide">{wide.to_html()}</div><div class="narrow">{narrow.to_html()}</div>')
