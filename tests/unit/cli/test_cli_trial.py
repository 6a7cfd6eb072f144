"""What people type and see of trials."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.console import Console

from evergreen.cli.trial import parse_duration, render_trial_report
from evergreen.errors import SettingsError
from evergreen.loop.trial import TrialReport
from evergreen.monitoring.quality.trials.trial_comparison import TrialComparison
from evergreen.store.records.trial_rows import TrialRows, estimate_share
from support.trials import NOW, build_trial


def show(report: TrialReport) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_trial_report(report))
    return capture.get()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200), (" 1.5 H ", 5_400), ("3d", 259_200)]
)
def test_a_time_is_a_number_with_its_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "2 weeks", "1h30m", "nan s", "9" * 30 + "d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--for"):
        parse_duration(text)


def test_a_running_trial_is_shown_with_the_answers_of_both() -> None:
    rows = (TrialRows(1, 900, {"no": 600, "yes": 300}, None), TrialRows(2, 100, {"no": 50, "yes": 50}, None))
    former = build_trial(
        id="t0", mode="shadow", ended_at=NOW, outcome="failed", reason="[red]it failed", ended_by="service"
    )
    shown = show(TrialReport("parcel", build_trial(), rows, (former,)))
    assert "v2 as canary for 50 % of the keys beside v1" in shown
    assert ["challenger", "v2", "100", "50.0%", "50.0%"] in [line.split() for line in shown.splitlines()]
    assert "[red]it failed" in shown
    assert "failed" in shown


def test_numbers_have_a_mean_and_nothing_is_said_of_no_trial() -> None:
    rows = (TrialRows(1, 9, {}, 2.5), TrialRows(2, 0, {}, None))
    ended = build_trial(ended_at=NOW, outcome="no_verdict", reason="too few rows", ended_by="service")
    shown = show(TrialReport("parcel", ended, rows, ()))
    assert "no verdict, too few rows" in shown
    assert "2.5" in shown
    assert "has had no trial yet" in show(TrialReport("parcel", None, (), ()))


def test_an_ab_test_of_two_versions_is_shown_with_its_errors() -> None:
    trial = build_trial(mode="ab", share=0.25, rival_version=3, rival_run_id="run-3")
    rows = (
        TrialRows(1, 500, {"no": 500}, None),
        TrialRows(2, 250, {"no": 250}, None, estimate_share(80, 0.25)),
        TrialRows(3, 240, {"no": 240}, None),
    )
    report = TrialReport("parcel", trial, rows, (), "share of wrong answers", "v2 is better than v3")
    shown = show(report)
    assert "v2 against v3, each for 25 % of the keys, beside v1" in shown
    assert "rival" in shown
    assert "80 0.25 (0.168 to 0.355)" in " ".join(shown.split())
    assert "v2 is better than v3." in shown
    document = report.to_json()
    assert document["rows"][1]["error"]["rows"] == 80
    assert document["rows"][2]["error"] is None
    assert document["trial"]["rival_version"] == 3


def test_which_version_is_better_is_the_last_word_of_a_trial():
    verdict = TrialComparison(2, 1, "loss", "none", False, None, None, None, "it cannot be said yet")
    report = TrialReport("parcel", build_trial(), (), (), verdict=verdict)
    assert show(report).rstrip().endswith("it cannot be said yet.")
    assert report.to_json()["verdict"]["sentence"] == "it cannot be said yet"
    assert TrialReport("parcel", build_trial(), (), ()).to_json()["verdict"] is None
