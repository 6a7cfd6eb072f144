"""The colours of pages and charts, written as `#rrggbb`."""

from __future__ import annotations

GREEN = "#2a7f4f"
AMBER = "#e0a030"
BLUE = "#3b6fb6"
RED = "#b5523b"
INK = "#1d2b24"
SOFT = "#5d6f66"
LINE = "#dbe5df"
PALE = "#b9d9c6"

# The colours of classes, in the order of the classes.
COLOURS = (GREEN, AMBER, BLUE, RED, "#7a5ea8", "#4aa7a0", "#9a9a3a", "#c46a9b", "#6b7a71", "#1f4e79")


def choose_colour(place: int) -> str:
    """The colour of the class at that place (from 0); the colours repeat after ten."""
    return COLOURS[place % len(COLOURS)]


def mix_with_white(share: float, tint: str = GREEN) -> str:
    """A colour between white (share 0) and `tint` (share 1), both written as `#rrggbb`."""
    channels = (int(tint[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - channel)):02x}" for channel in channels)
