"""Axes of time: moments are seconds since 1970 (UTC), ticks stand at hours, days or months of UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from evergreen.pages.axis import Axis

_HOUR, _DAY = 3_600.0, 86_400.0
# The distances between ticks, from hours to half months, in seconds; above them whole months are counted.
_STEPS = (_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY)
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)
_MONTH = 30.4 * _DAY


def build_time_axis(start: datetime, end: datetime, title: str = "", about: int = 7) -> Axis:
    """An axis from `start` to `end` (aware) with about so many ticks; one of no length becomes an hour.

    Labels are the time of day below two days, else the day; months beyond a quarter of a year.
    """
    low, high = start.timestamp(), end.timestamp()
    if not high > low:
        low, high = low - _HOUR / 2, low + _HOUR / 2
    span = high - low
    step = next((step for step in _STEPS if span / step <= about * 1.4), None)
    marks = _list_months(low, high, about) if step is None else _list_steps(low, high, step)
    if step is None:
        return Axis(low, high, _label_months(marks), title)
    pattern = "%H:%M" if span < 2 * _DAY else "%b %-d"
    if step < _DAY <= span:
        pattern = "%b %-d %H:%M"
    return Axis(low, high, [(mark, f"{_to_moment(mark):{pattern}}") for mark in marks], title)


def _list_steps(low: float, high: float, step: float) -> Sequence[float]:
    """Multiples of `step` between the ends, counted from the midnight before `low`."""
    midnight = low - low % _DAY
    count = int((high - midnight) // step) + 1
    return [mark for n in range(count) if low <= (mark := midnight + n * step) <= high]


def _list_months(low: float, high: float, about: int) -> Sequence[float]:
    """Beginnings of months between the ends."""
    months = (high - low) / _MONTH
    step = next((step for step in _MONTH_STEPS if months / step <= about * 1.4), _MONTH_STEPS[-1])
    first = _to_moment(low)
    number = first.year * 12 + first.month - 1
    number += -number % step if step <= 12 else step - number % step
    marks: list[float] = []
    while True:
        mark = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()
        if mark > high:
            return marks
        if mark >= low:
            marks.append(mark)
        number += step


def _label_months(marks: Sequence[float]) -> list[tuple[float, str]]:
    """The marks with their months; the first one and each January with the year."""
    ticks = []
    for number, mark in enumerate(marks):
        moment = _to_moment(mark)
        ticks.append((mark, f"{moment:%b %Y}" if number == 0 or moment.month == 1 else f"{moment:%b}"))
    return ticks


def _to_moment(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
