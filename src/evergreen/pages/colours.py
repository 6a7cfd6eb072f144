"""The colours of pages and pictures."""

from __future__ import annotations

GREEN = "#2a7f4f"
AMBER = "#e0a030"
BLUE = "#3b6fb6"
RED = "#b5523b"
INK = "#1d2b24"
SOFT = "#5d6f66"
LINE = "#dbe5df"
PALE = "#b9d9c6"

# For classes, in their order.
COLOURS = (GREEN, AMBER, BLUE, RED, "#7a5ea8", "#4aa7a0", "#9a9a3a", "#c46a9b", "#6b7a71", "#1f4e79")


def choose_colour(place: int) -> str:
    """The colour of the class at that place."""
    return COLOURS[place % len(COLOURS)]
