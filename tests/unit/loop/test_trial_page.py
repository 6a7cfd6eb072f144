"""The picture and the page of a trial."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evergreen.errors import SettingsError
from evergreen.loop import trial_page
from evergreen.loop.trial import TrialReport
from evergreen.loop.trial_page import draw_trial, render_trial_page, write_trial_page
from evergreen.settings import Settings
from evergreen.store.records.trial_course import TrialCourse
from evergreen.store.records.trial_rows import TrialRows, estimate_share
from support.trials import NOW, build_trial

COURSE = TrialCourse(
    NOW - timedelta(minutes=2),
    timedelta(minutes=1),
    {(1, False): [60, 60, 30, 30, 60], (2, True): [0, 0, 30, 30, 0]},
)
ENDED = build_trial(
    ended_at=NOW + timedelta(minutes=2), outcome="failed", reason="it is <wrong>", ended_by="service"
)


def test_a_picture_names_the_versions_and_the_end() -> None:
    text = draw_trial(ENDED, COURSE).to_svg()
    words = " ".join(ElementTree.fromstring(text).itertext())
    for part in (
        "v1, champion",
        "v2, challenger",
        "start",
        "end: failed",
        "minutes since the start",
        "it is <wrong>",
    ):
        assert part in words
    assert len(text) < 100_000


def test_a_trial_that_runs_and_has_no_rows_is_drawn_too() -> None:
    words = draw_trial(build_trial(), TrialCourse(NOW, timedelta(seconds=1), {})).to_svg()
    assert "it runs" in words
    assert "end:" not in words


def test_a_page_has_the_rows_and_the_errors() -> None:
    rows = (
        TrialRows(1, 900, {"no": 600, "yes": 300}, None),
        TrialRows(2, 100, {"no": 50, "yes": 50}, None, estimate_share(80, 0.25)),
    )
    page = render_trial_page(
        TrialReport("parcel", ENDED, rows, (), "share of wrong answers", "v2 is so"), COURSE
    )
    for part in (
        "v2 as canary for 50 % of the keys beside v1",
        "66.7%",
        "0.25 (0.168 to 0.355)",
        "it is &lt;wrong&gt;",
    ):
        assert part in page


@pytest.mark.parametrize("name", ["trial.png", "trial"])
def test_what_is_no_page_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="neither a page nor a picture"):
        write_trial_page(Settings(home=tmp_path), TrialReport("parcel", ENDED, (), ()), tmp_path / name)


def test_without_a_trial_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no trial yet"):
        write_trial_page(Settings(home=tmp_path), TrialReport("parcel", None, (), ()), tmp_path / "a.svg")


@pytest.fixture
def course_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_page, "load_use_case", lambda *_: None)
    monkeypatch.setattr(trial_page, "get_engine", lambda *_: None)
    monkeypatch.setattr(trial_page, "read_trial_course", lambda *_: COURSE)


@pytest.mark.parametrize("name", ["trial.svg", "trial.html"])
def test_a_page_is_for_its_owner_only_and_follows_no_link(
    tmp_path: Path, course_at_hand: None, name: str
) -> None:
    others, page = tmp_path / "others", tmp_path / name
    others.write_text("another's")
    page.symlink_to(others)
    before = os.umask(0o022)
    try:
        write_trial_page(Settings(home=tmp_path), TrialReport("parcel", ENDED, (), ()), page)
    finally:
        os.umask(before)
    assert others.read_text() == "another's"
    assert not page.is_symlink()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "start" in page.read_text()


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, course_at_hand: None) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        write_trial_page(
            Settings(home=tmp_path), TrialReport("parcel", ENDED, (), ()), tmp_path / "none" / "a.svg"
        )
