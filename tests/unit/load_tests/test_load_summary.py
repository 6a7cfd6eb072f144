"""The ramp, the limits, and what is made of locust's CSV files."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from load_tests.limits import Figures, Limits
from load_tests.page import draw_run, render_run
from load_tests.ramp import count_users
from load_tests.report import Failure, Report, read_report
from load_tests.terminal import draw_columns, join_values, render_report

FIGURES = Figures(requests=1_000, error_rate=0.01, p95=120.0, p99=400.0)

STATS = """\
Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%
POST,/predict_batch,10,0,30,31,20,90,9000,1.0,0.0,30,31,32,33,40,60,80,90,90,90,90
POST,/predict,90,3,5,6,2,50,300,9.0,0.3,5,6,7,8,9,20,30,40,50,50,50
,Aggregated,100,3,6,7,2,90,1000,10.0,0.3,6,7,8,9,20,30,60,80,90,90,90
"""
HISTORY = """\
Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%
1000,1,,Aggregated,0.0,0.0,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A
1001,4,POST,/predict,7.0,0.0,5,5,5,5,5,5,5,5,5,5,5
1001,4,,Aggregated,8.0,0.5,5,6,7,8,9,20,30,40,50,50,50
1002,8,,Aggregated,16.0,0.0,6,6,7,8,9,30,30,50,50,50,50
"""
FAILURES = """\
Method,Name,Error,Occurrences,First Seen,Last Seen,First Seen Epoch,Last Seen Epoch
POST,/predict,one <b>kind</b>,1,a,b,1,2
POST,/predict,503: full,2,a,b,1,2
"""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    for kind, text in (("stats", STATS), ("stats_history", HISTORY), ("failures", FAILURES)):
        (tmp_path / f"load_{kind}.csv").write_text(text)
    return read_report(tmp_path / "load")


def test_the_ramp_rises_holds_and_falls() -> None:
    steps = [count_users(number / 100, 40) for number in range(100)]
    assert steps[0] == 1
    assert max(steps) == 40
    assert set(steps[40:80]) == {40}
    assert steps[:41] == sorted(steps[:41])
    assert steps[80:] == sorted(steps[80:], reverse=True)
    assert steps[-1] < 5


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        (Limits(), [False]),
        (Limits(0.01, 120, 400), [True, True, True]),
        (Limits(0.02, 119.9, 400), [True, False, True]),
        (Limits(0.02, p99=399), [True, False]),
    ],
)
def test_a_run_is_judged_by_the_limits_that_there_are(limits: Limits, passed: list[bool]) -> None:
    assert [check.passed for check in limits.judge(FIGURES)] == passed


def test_a_run_without_requests_passes_nothing() -> None:
    checks = Limits(1.0 - 1e-9, 10, 10).judge(Figures(0, 0.0, 0.0, 0.0))
    assert [check.passed for check in checks] == [False, False, False]


def test_the_files_of_locust_are_read(report: Report) -> None:
    assert [route.name for route in report.routes] == ["/predict", "/predict_batch"]
    assert (report.total.requests, report.total.failures, report.total.p99) == (100, 3, 80.0)
    assert report.figures == Figures(100, 0.03, 30.0, 80.0)
    assert [(second.moment, second.users) for second in report.seconds] == [(0, 1), (1, 4), (2, 8)]
    assert [second.p95 for second in report.seconds] == [0.0, 20.0, 30.0]
    assert report.failures[0] == Failure("/predict", "503: full", 2)


def test_a_run_that_left_no_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"load_stats\.csv"):
        read_report(tmp_path / "load")


def test_a_column_is_as_high_as_its_value() -> None:
    lines = draw_columns("users", [0, 4, 8], height=2).plain.splitlines()
    assert lines[0] == "users over 3 s"
    assert lines[1].split("│")[1] == "  █"
    assert lines[2].split("│")[1] == " ██"
    assert "8" in lines[1]
    assert draw_columns("nothing", [], height=1).plain.splitlines()[0] == "nothing over 0 s"


def test_many_values_are_joined_to_means() -> None:
    assert join_values([1, 2, 3], 5) == [1, 2, 3]
    assert join_values([1, 3, 5, 7], 2) == [2, 6]
    assert len(join_values(list(range(601)), 60)) == 60


def test_the_summary_names_routes_failures_and_limits(report: Report) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render_report(report, report.judge(Limits(0.01, 100, 100))))
    text = console.export_text()
    for part in ("/predict_batch", "requests/s over 3 s", "2 x /predict: 503: full", "one <b>kind</b>"):
        assert part in text
    assert "errors 3.00% (at most 1.00%): FAIL" in text
    assert "p95 30 ms (at most 100): pass" in text


def test_the_page_holds_the_same_and_escapes_what_services_say(report: Report) -> None:
    page = render_run("Load on x", ["a run"], report, report.judge(Limits(0.01)))
    assert "&lt;b&gt;kind" in page
    assert "<b>kind" not in page
    assert "FAIL" in page
    assert page.count("<svg") == 1
    assert draw_run(report).to_svg().startswith("<svg")


def test_a_run_of_less_than_a_second_has_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "load_stats.csv").write_text(STATS.splitlines()[0] + "\n")
    (tmp_path / "load_stats_history.csv").write_text(HISTORY.splitlines()[0] + "\n")
    (tmp_path / "load_failures.csv").write_text(FAILURES.splitlines()[0] + "\n")
    empty = read_report(tmp_path / "load")
    assert "<svg" in render_run("Load", [], empty, empty.judge(Limits()))
