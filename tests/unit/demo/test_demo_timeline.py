"""A tour's days are counted back from its moment, and it says which they are before anything starts."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evergreen.demo import run as tours
from evergreen.demo.timeline import Timeline
from evergreen.errors import StackError
from evergreen.usecases.credit_score import USE_CASE
from evergreen.usecases.credit_score.periods import PERIOD, compute_period_start, periods_before

NOW = datetime(2026, 11, 29, 19, 5, 30, 123, tzinfo=UTC)


def test_every_moment_is_counted_back_from_now() -> None:
    timeline = Timeline.until(NOW)
    assert timeline.description == (
        "simulates 2025-02-01 to 2026-11-29 (UTC); recession from 2026-07-26, 126 days before now"
    )
    assert timeline.begins < timeline.first_training < timeline.recession_from < timeline.now
    assert timeline.now == NOW.replace(microsecond=0)


@pytest.mark.parametrize("hours", [-11, 0, 9, 14])
def test_the_time_zone_of_the_clock_changes_nothing(hours: int) -> None:
    assert Timeline.until(NOW.astimezone(timezone(timedelta(hours=hours)))) == Timeline.until(NOW)


def test_what_decides_lies_days_away_from_the_edge_of_a_window() -> None:
    """In each training's window five periods have outcomes: all before the recession, then one before it and
    four in it. That stays so if a tour takes its time, and would if it had begun days earlier."""
    timeline = Timeline.until(NOW)
    window, delay = USE_CASE.retrain.window, USE_CASE.label.delay
    assert window is not None
    count = periods_before(timeline.begins, timeline.now)
    times = [compute_period_start(timeline.begins, number) for number in range(count)]
    assert timeline.recession_from in times
    for as_of, recessive in ((timeline.first_training, 0), (timeline.now, 4)):
        for late in (timedelta(days=-5), timedelta(0), timedelta(days=5)):
            moment = as_of + late
            labelled = [t for t in times if moment - window < t <= moment - delay]
            assert len(labelled) == 5
            assert sum(t >= timeline.recession_from for t in labelled) == recessive
    assert timedelta(days=5, hours=20) < (timeline.now - timeline.begins) % PERIOD


def test_the_tour_says_its_days_first_and_the_report_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), width=60)
    assert isinstance(console.file, io.StringIO)
    said: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        said.append(console.file.getvalue())  # type: ignore[attr-defined]
        raise StackError("there is no room", hint="make some")

    monkeypatch.setattr(tours.lifecycle, "start_stack", refuse)
    with pytest.raises(StackError) as caught:
        tours.run_demo(tmp_path, "credit_score", "", console=console, now=NOW)
    assert said == [f"credit_score {Timeline.until(NOW).description}\n"]
    report = json.loads((tmp_path / "demo.json").read_text())
    assert report["verified"] is False
    assert report["simulated"] == {
        "begins": "2025-02-01T19:05:30+00:00",
        "first_training": "2026-07-02T19:05:30+00:00",
        "recession_from": "2026-07-26T19:05:30+00:00",
        "now": "2026-11-29T19:05:30+00:00",
    }
    assert caught.value.hint == "make some\nexplained by: evergreen status"
