"""How the governor writes durations and numbers."""

from __future__ import annotations

from datetime import timedelta


def format_duration(duration: timedelta) -> str:
    """A duration in its greatest whole unit: "3 d", "12 h", "5 min", "20 s"; none below 0."""
    seconds = max(0, int(duration.total_seconds()))
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds} s"


def describe_unit(metric: str) -> str:
    """The unit of a loss of numbers, to follow its value; "" for metrics without a unit."""
    return " standard deviations of the label" if metric in ("mae", "rmse") else ""
