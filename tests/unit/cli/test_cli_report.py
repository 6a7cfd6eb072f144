"""`evergreen report` in a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evergreen.cli.tables.monitoring_tables import render_report
from evergreen.monitoring.report.document import CheckReport
from support.check_documents import build_names, build_numbers, build_report


def show(report: CheckReport, address: str = "", path: Path | None = None) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render_report(report, address, path))
    return captured.get()


def test_the_overview_is_told_with_where_the_page_is() -> None:
    text = show(build_report(), "http://mlflow/report.html")
    for part in (
        "as of 2026-07-01 06:00 UTC, 100 predictions",
        "2026-06-21 06:00:00",
        "yes, because of <drift>",
        "http://mlflow/report.html",
        "a note",
        "evergreen report toy --open",
    ):
        assert part in text, part
    assert "mood" not in text  # it has not drifted


def test_a_saved_page_is_named_and_markup_is_plain_text() -> None:
    report = replace(build_report(), title="[red]A toy[/red]")
    text = show(report, path=Path("report.html"))
    assert "[red]A toy[/red]" in text
    assert "report.html" in text
    assert "--open" not in text


def test_a_report_without_a_verdict_and_one_of_many_features() -> None:
    features = [build_numbers(f"f{n}") for n in range(20)]
    assert "and 8 more" in show(build_report(*features))
    document = build_report(replace(build_numbers(), psi=float("nan")), build_names()).to_json()
    assert "–" in show(CheckReport.from_json(document))
    assert "not decided" in show(replace(build_report(), decision=None))
