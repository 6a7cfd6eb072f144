"""The faults' report: what is a broken promise, and what the run says of it. No process is started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.chaos import small_disk
from benchmarks.chaos.__main__ import build_json, build_table, main, parse_arguments
from benchmarks.chaos.fault import FULL, QUICK, Fault, Report
from benchmarks.chaos.faults import FAULTS


def attempt(**counts: int) -> Report:
    def make(_stand: Any, _size: Any, report: Report) -> None:
        for name, value in counts.items():
            setattr(report, name, value)
        report.judge_counts()

    return Fault("one", "a promise", make).attempt(cast("Any", None), QUICK)


def test_nothing_lost_doubled_or_failed_is_a_promise_that_was_kept() -> None:
    assert attempt(acknowledged=5).passed is True


@pytest.mark.parametrize("name", ["lost", "doubled", "failed"])
def test_one_prediction_breaks_it(name: str) -> None:
    report = attempt(acknowledged=5, **{name: 1})
    assert report.passed is False
    assert report.broken == [f"{name} is 1, and must be at most 0"]


def test_without_a_prediction_nothing_was_shown() -> None:
    assert attempt().passed is False


def test_what_is_required_is_told_with_its_limit() -> None:
    report = Report()
    report.require_at_most("seconds", 31.0, 30.0)
    report.require_at_least("rows", 5, 5)
    told = report.to_json()
    assert told["facts"] == {"seconds": 31.0, "rows": 5}
    assert told["limits"] == {"seconds": "at most 30", "rows": "at least 5"}
    assert told["broken"] == ["seconds is 31.0, and must be at most 30"]


@pytest.mark.parametrize("error", [SystemExit("the server does not answer"), TimeoutError("never came")])
def test_a_fault_that_cannot_be_made_is_broken_and_the_next_is_tried(error: BaseException) -> None:
    def make(*_: Any) -> None:
        raise error

    report = Fault("one", "a promise", make).attempt(cast("Any", None), QUICK)
    assert report.passed is False
    assert str(error) in report.broken[0]


def test_what_was_skipped_is_neither_kept_nor_broken() -> None:
    fault = Fault("one", "a promise", lambda _, __, report: setattr(report, "skipped", "no such disk"))
    reports = {"one": fault.attempt(cast("Any", None), QUICK)}
    told = build_json([fault], reports)
    assert (told["passed"], told["broken"]) == (True, [])
    assert told["faults"]["one"]["passed"] is None
    assert "no such disk" in build_table(reports)


def test_a_run_that_was_ended_early_has_not_passed() -> None:
    told = build_json(FAULTS[:2], {FAULTS[0].name: Report(acknowledged=1)})
    assert told["passed"] is False
    assert told["missing"] == [FAULTS[1].name]


def test_the_table_has_a_line_for_each_fault_and_says_what_was_broken() -> None:
    broken = Report(acknowledged=1_000, lost=1, broken=["lost is 1, and must be at most 0"])
    lines = build_table({"good": Report(acknowledged=2_000), "bad": broken}).splitlines()
    assert lines[1].split() == ["good", "2,000", "0", "0", "0", "0", "kept"]
    assert lines[2].split()[-1] == "BROKEN"
    assert lines[3].strip() == "lost is 1, and must be at most 0"


def test_the_command_lists_and_chooses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    monkeypatch.setattr(sys, "argv", ["chaos", "--list"])
    assert main() == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == names
    chosen = parse_arguments(["--only", names[0]])
    assert chosen.output.name == "chaos-partial.json"
    assert parse_arguments([]).output.name == "chaos.json"
    for words in (["--only", "nothing"], ["--kills", "0"]):
        with pytest.raises(SystemExit):
            parse_arguments(words)
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    assert "examples:" in capsys.readouterr().out


def test_a_full_run_is_as_large_as_the_promises() -> None:
    assert (FULL.kills, FULL.outage_seconds, FULL.lock_seconds, FULL.swaps) == (20, 60.0, 60.0, 50)


def test_a_small_disk_is_small_and_gone_afterwards(tmp_path: Path) -> None:
    import subprocess

    if obstacle := small_disk.find_obstacle():
        pytest.skip(obstacle)
    script = f"import shutil; print(shutil.disk_usage({str(tmp_path)!r}).total); open('x', 'w').close()"
    program = (sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {script}")
    done = subprocess.run(
        [sys.executable, *small_disk.build_prefix(tmp_path, 1), *program],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == 2**20
    assert list(tmp_path.iterdir()) == []
