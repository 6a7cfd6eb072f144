"""A stage is timed, told, and either verified or the tour ends there."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import pytest
from rich.console import Console

from evergreen.demo.report import write_report
from evergreen.demo.stages import Tour
from evergreen.errors import StageNotVerified


@pytest.fixture
def tour() -> Tour:
    ticks = itertools.count(100.0, 2.5)
    return Tour(Console(file=io.StringIO(), width=120), clock=lambda: next(ticks))


def test_a_stage_is_timed_and_told(tour: Tour) -> None:
    with tour.running(), tour.stage("train") as stage:
        stage.verify(True, "a champion")
        stage.happened = "champion v1"
    assert tour.as_json() == [{"stage": "train", "seconds": 2.5, "what": "champion v1"}]
    assert tour.total_seconds == 2.5


def test_a_stage_that_is_not_verified_ends_the_tour_and_says_what_was_expected(tour: Tour) -> None:
    with (
        pytest.raises(StageNotVerified, match="stage 'train' is not verified: expected a champion"),
        tour.running(),
        tour.stage("train") as stage,
    ):
        stage.verify(False, "a champion")
    assert "failed" in tour.as_json()[0]["what"]


def test_without_a_terminal_each_finished_stage_is_a_line(tour: Tour) -> None:
    with tour.running(), tour.stage("train") as stage:
        stage.happened = "champion v1"
    file = tour.console.file
    assert isinstance(file, io.StringIO)
    assert "2.5 s  train: champion v1" in file.getvalue()


def test_a_terminal_shows_the_running_stage_live() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with (tour := Tour(console)).running(), tour.stage("train") as stage:
        stage.say("half way")
        assert "half way" in _text(tour)
    assert isinstance(console.file, io.StringIO)
    assert "train" in console.file.getvalue()


def _text(tour: Tour) -> str:
    plain = Console(file=io.StringIO(), width=120)
    plain.print(tour.table())
    assert isinstance(plain.file, io.StringIO)
    return plain.file.getvalue()


def test_the_report_says_whether_every_stage_was_verified(tour: Tour, tmp_path: Path) -> None:
    with tour.running(), tour.stage("train"):
        pass
    path = tmp_path / "demo.json"
    write_report(path, tour, {"sent": 3, "logged": 3}, verified=False)
    report = json.loads(path.read_text())
    assert report["verified"] is False
    assert report["sent"] == 3
    assert report["total_seconds"] == 2.5
    assert [stage["stage"] for stage in report["stages"]] == ["train"]
