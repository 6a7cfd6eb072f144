"""How numbers, shares, sizes and moments are written for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

NOTHING = "–"
_PLAIN = 1e15
# Metrics whose name is more than the name in the code with blanks.
_METRIC_NAMES = {
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}


def parse_number(value: object) -> float | None:
    """The value as a finite number; None for anything else, truth values and NaN included."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def choose_decimals(*values: object) -> int:
    """How many decimals the greatest of the values needs to show three or four digits."""
    sizes = [abs(number) for value in values if (number := parse_number(value))]
    if not sizes:
        return 1
    power = math.floor(math.log10(max(sizes)))
    return min(10, max(0, 3 - power if power >= -1 else 2 - power))


def format_number(value: object, places: int | None = None) -> str:
    """A number with thousands separators and three or four digits, or with `places` decimals.

    What is no finite number becomes a dash.
    """
    number = parse_number(value)
    if number is None:
        return NOTHING
    if abs(number) >= _PLAIN or 0 < abs(number) < 1e-8:
        return f"{number:.3g}"
    if places is None:
        places = 0 if isinstance(value, int) else choose_decimals(number)
        text = f"{number:,.{places}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    text = f"{number:,.{places}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def format_difference(value: object, places: int | None = None) -> str:
    """A number with its sign, also where it is positive."""
    text = format_number(value, places)
    return text if text == NOTHING or text.startswith("-") else f"+{text}"


def format_percent(share: object) -> str:
    """A share from 0 to 1 as a percentage with one decimal; 0 % and 100 % without."""
    number = parse_number(share)
    if number is None:
        return NOTHING
    if 0 < abs(number) < 0.0005:
        return "<0.1%"
    rounded = round(number, 4) + 0.0  # without the sign of a zero
    return f"{rounded:.0%}" if rounded in (0, 1) else f"{number:.1%}"


def format_bytes(count: object) -> str:
    """A number of bytes in kB, MB or GB (powers of 1000)."""
    number = parse_number(count)
    if number is None:
        return NOTHING
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f} bytes"


def format_moment(text: object) -> str:
    """An ISO 8601 moment to the minute, in UTC; any other text unchanged, nothing as a dash."""
    if not text:
        return NOTHING
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def format_value(value: object) -> str:
    """A value of a JSON document as text: yes and no, numbers, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format_number(value)
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value)) or NOTHING
    return str(value)


def format_metric_name(metric: str) -> str:
    """A metric's name for people: `roc_auc` is "ROC AUC"."""
    return _METRIC_NAMES.get(metric, metric.replace("_", " "))


def shorten_text(text: object, most: int = 60) -> str:
    """The text on one line of at most `most` characters; a longer one ends in an ellipsis."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def compute_ticks(low: float, high: float, about: int = 5) -> Sequence[float]:
    """Round values between two ends, about `about` of them, 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if not span > 0:
        return (low,)
    raw = span / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def choose_tick_decimals(marks: Sequence[float]) -> int:
    """How many decimals equally spaced marks need to be written exactly."""
    if len(marks) < 2:
        return min(4, choose_decimals(*marks))
    step = abs(marks[1] - marks[0])
    return next((places for places in range(11) if abs(round(step, places) - step) <= step * 1e-6), 10)
