"""The notes and reports of an ingest run as JSON: written as before, and read whatever version wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from evergreen.ingest.input_notes import InputNote, RunInputs, parse_run_inputs
from evergreen.ingest.run_report import RunReport, parse_run_report
from evergreen.validation.report import Failure, Report

DOCUMENT: Any = {
    "facts": [
        {"name": "a.csv", "digest": "d1", "size": 9, "rows": 5, "held_back": 0, "unchanged": "run-1"},
        {
            **{"name": "b.csv", "digest": "d2", "size": 8, "rows": 4, "held_back": 2, "staged": "0"},
            "known_from": "2026-07-01T00:00:00.500000+00:00",
        },
    ],
    "label": [
        {
            **{"name": "shop", "digest": "", "size": None, "rows": 0, "held_back": 0},
            **{"start": "1970-01-01T00:00:00+00:00", "catch_up": True, "staged": "1"},
        }
    ],
}


def test_notes_are_read_and_written_the_same() -> None:
    inputs = RunInputs.from_json(DOCUMENT)
    assert json.dumps(inputs.to_json()) == json.dumps(DOCUMENT)
    assert (inputs.rows, inputs.held_back) == (9, 2)
    assert [note.name for note in inputs.list_read_notes("facts")] == ["b.csv"]
    assert inputs.list_part_notes("label")[0].start == datetime(1970, 1, 1, tzinfo=UTC)
    assert inputs.list_read_notes("unknown") == []


def test_a_load_gives_a_query_the_digest_of_its_rows_and_leaves_a_files_own() -> None:
    loaded = RunInputs.from_json(DOCUMENT).mark_loaded({"facts": "rows-1", "label": "rows-2"})
    assert loaded.list_contents() == {
        "facts": [("a.csv", "d1"), ("b.csv", "d2")],
        "label": [("shop", "rows-2")],
    }
    assert not any(note.is_read for note in loaded.notes())
    assert loaded.list_part_notes("facts")[0].unchanged == "run-1"


def test_notes_of_an_earlier_version_may_lack_fields_and_have_others() -> None:
    document: Any = {"facts": [{"name": "a.csv", "digest": "d", "later": 1}]}
    run: Any = SimpleNamespace(inputs=document)
    assert parse_run_inputs(run) == RunInputs({"facts": (InputNote("a.csv", "d"),)})
    assert parse_run_inputs(replace_inputs(run, None)) == RunInputs({})


def replace_inputs(run: Any, inputs: Any) -> Any:
    return SimpleNamespace(**{**vars(run), "inputs": inputs})


def test_a_view_may_be_called_error() -> None:
    reports = {"error": Report("toy", "error", 9, 9, ())}
    run: Any = SimpleNamespace(report=json.loads(json.dumps(RunReport(reports).to_columns()["report"])))
    assert parse_run_report(run) == RunReport(reports)


def test_a_run_keeps_its_reports_or_the_error_that_ended_it() -> None:
    report = Report("toy", "facts", 9, 8, (Failure("age", "is more than 9", 1, ("12",)),), rejected=1)
    columns = RunReport({"facts": report}).to_columns()
    assert columns["rows_rejected"] == 1
    run: Any = SimpleNamespace(report=json.loads(json.dumps(columns["report"])))
    assert parse_run_report(run) == RunReport({"facts": report})
    failed: Any = SimpleNamespace(report=RunReport(error="x" * 5000).to_columns()["report"])
    assert parse_run_report(failed) == RunReport(error="x" * 4000)
    assert replace(RunReport(), error="gone").to_columns() == {"report": {"error": "gone"}}
