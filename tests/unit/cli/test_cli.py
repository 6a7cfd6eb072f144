"""The commands people type: help with examples, clear errors, exit codes, and no traceback."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, Group
from rich.text import Text

from evergreen.cli.app import print_json, show_facts
from support.command_line import CommandLine, Done

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    *("up", "down", "status", "restart", "airflow", "use-cases"),
    *("new", "profile", "backtest", "run", "upkeep", "score", "simulate", "demo"),
    *("features", "apply", "ingest-runs", "dataset", "train", "gate", "approve", "ledger", "rollback"),
    *("get-online-features", "counts", "trial", "keys", "rights", "report", "drift", "decisions", "alert"),
    *("backup", "restore", "drop", "migrate", "deploy", "exporter"),
)
# Those that have subcommands.
GROUPS = {
    "alert": ("test", "list"),
    "features": ("list", "diff"),
    "dataset": ("list", "show", "reproduce"),
    "deploy": ("compose", "kubernetes"),
    "gate": ("explain",),
    "keys": ("new", "list", "revoke"),
    "ledger": ("list", "at"),
    "trial": ("start", "status", "end"),
}
WORDS = [
    *(name for name in COMMANDS if name not in GROUPS),
    *(f"{name} {sub}" for name, subs in GROUPS.items() for sub in subs),
]

Evergreen = Callable[..., Done]


@pytest.fixture
def evergreen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evergreen:
    """Runs a command in this process."""
    return CommandLine(monkeypatch, capsys).run


def as_process(*arguments: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("EVERGREEN_", "AIRFLOW"))}
    environment |= {"EVERGREEN_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", **settings}
    return subprocess.run(
        [sys.executable, "-m", "evergreen.cli", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=environment,
        cwd=home,
    )


@pytest.mark.parametrize("words", [*WORDS, *GROUPS])
def test_every_command_has_help_with_an_example_and_speaks_json(
    words: str, evergreen: Evergreen, tmp_path: Path
) -> None:
    done = evergreen(*words.split(), "--help", home=tmp_path)
    assert done.returncode == 0
    assert re.search(r"Examples?\b", done.stdout)
    assert f"evergreen {words.removesuffix(' list')}" in done.stdout
    # Airflow's own commands have an --output of their own.
    if words not in ("airflow", *GROUPS):
        assert "--json" in done.stdout


def test_help_names_every_command_and_so_does_the_readme(evergreen: Evergreen, tmp_path: Path) -> None:
    shown = evergreen("--help", home=tmp_path).stdout
    readme = (ROOT / "README.md").read_text("utf-8")
    listed = set(re.findall(r"^│ ([a-z][a-z-]+)  ", shown, re.MULTILINE))
    assert listed == set(COMMANDS)
    for command in COMMANDS:
        assert re.search(rf"`(evergreen )?{command}\b", readme), command
    for group, subcommands in GROUPS.items():
        help_of_group = evergreen(group, "--help", home=tmp_path).stdout
        assert set(re.findall(r"^│ ([a-z][a-z-]+)  ", help_of_group, re.MULTILINE)) == set(subcommands)


def test_use_cases_can_be_listed_for_scripts(evergreen: Evergreen, tmp_path: Path) -> None:
    done = evergreen("use-cases", "--json", home=tmp_path)
    listed = json.loads(done.stdout)
    assert listed["credit_score"]["problem"] == "multiclass"
    assert listed["titanic"]["problem"] == "binary"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "train", "titanik"), 2, "did you mean 'titanic'"),
        (("run", "fly", "titanic"), 2, "fly"),
        (("run", "train", "titanic", "--as-of", "yesterday"), 2, "yesterday"),
        (("demo", "nothing"), 2, "there is no use case 'nothing'"),
        (("demo", "titanic", "--csv", "missing.csv"), 3, "missing.csv"),
        (("score", "titanic", "--input", "missing.csv", "--output", "out.csv"), 3, "missing.csv"),
        (("features", "titanik"), 2, "did you mean 'titanic'"),
        (("features", "diff", "titanik"), 2, "did you mean 'titanic'"),
        (("apply", "titanik"), 2, "did you mean 'titanic'"),
        (("decisions", "titanik"), 2, "did you mean 'titanic'"),
        (("decisions", "titanic", "--since", "yesterday"), 2, "yesterday"),
        (("alert", "list", "titanik"), 2, "did you mean 'titanic'"),
        (("alert", "test"), 2, "EVERGREEN_ALERT_URLS is empty"),
        (("ingest-runs", "titanik"), 2, "did you mean 'titanic'"),
        (("profile", "titanik"), 2, "did you mean 'titanic'"),
        (("profile", "titanic", "--as-of", "yesterday"), 2, "yesterday"),
        (("features", "titanic", "more"), 2, "more"),
        (("ledger", "titanik"), 2, "did you mean 'titanic'"),
        (("ledger", "at", "yesterday"), 2, "yesterday"),
        (("rollback", "titanik"), 2, "did you mean 'titanic'"),
        (("rollback", "titanic", "--to", "former"), 2, "--to"),
        (("new", "own", "--from", "missing.csv", "--target", "y"), 3, "missing.csv"),
        (("new", "Not A Name", "--from", "missing.csv", "--target", "y"), 2, "not a valid name"),
        (("backup",), 11, "there is no stack in"),
        (("restore", "missing"), 11, "is no backup: it has no manifest.json"),
        (("migrate", "titanik"), 2, "did you mean 'titanic'"),
        (("drop", "titanic"), 2, "in scripts add --yes"),
        (("drop", "titanic", "--models", "burn"), 2, "archive, delete"),
        (("simulate", "titanic", "--start", "2026-01-01", "--end", "2026-02-01"), 2, "no simulator"),
    ],
)
def test_bad_input_is_one_message_and_its_exit_code(
    arguments: tuple[str, ...], code: int, message: str, evergreen: Evergreen, tmp_path: Path
) -> None:
    done = evergreen(*arguments, home=tmp_path)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "euc_kr"])
def test_an_output_that_lacks_a_character_gets_another_for_it(encoding: str, tmp_path: Path) -> None:
    for arguments, code in ((("new", "--help"), 0), (("run", "train", os.fsdecode("été·시험".encode())), 2)):
        done = as_process(*arguments, home=tmp_path, PYTHONIOENCODING=encoding)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "euc_kr", "utf-8"])
def test_json_is_exact_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, written = {"label": "été · 시험"}, io.BytesIO()
    console = Console(file=io.TextIOWrapper(written, encoding=encoding, write_through=True))
    monkeypatch.setitem(print_json.__globals__, "out", console)
    print_json(facts)
    assert json.loads(written.getvalue().decode(encoding)) == facts


def test_an_unreachable_store_says_where_it_was_looked_for(evergreen: Evergreen, tmp_path: Path) -> None:
    done = evergreen("run", "train", "titanic", home=tmp_path, EVERGREEN_MARIADB_PORT="1")
    assert done.returncode == 5
    assert "127.0.0.1:1" in done.stderr
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("EVERGREEN_MARIADB_PORT", "many", "EVERGREEN_MARIADB_PORT"),
        ("EVERGREEN_SOURCES", "nojson", "sources"),
    ],
)
def test_a_malformed_setting_is_named(
    name: str, value: str, told: str, evergreen: Evergreen, tmp_path: Path
) -> None:
    done = evergreen("use-cases", home=tmp_path, **{name: value})
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A folder of use cases of which one cannot be loaded."""
    folder = tmp_path / "own" / "broken"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("nonsense\n")
    return str(folder.parent)


def test_a_broken_use_case_is_named_and_hides_no_other(
    broken: str, evergreen: Evergreen, tmp_path: Path
) -> None:
    done = evergreen("use-cases", "--json", home=tmp_path, EVERGREEN_USE_CASES=broken)
    listed = json.loads(done.stdout)
    assert listed["titanic"]["problem"] == "binary"
    assert "broken/__init__.py:1: NameError" in listed["broken"]["error"]
    assert done.returncode == 2


def test_status_tells_of_a_broken_use_case(broken: str, evergreen: Evergreen, tmp_path: Path) -> None:
    done = evergreen("status", "--json", home=tmp_path, EVERGREEN_USE_CASES=broken)
    assert "broken/__init__.py:1" in " ".join(json.loads(done.stdout)["problems"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "train", "titanic", "--source", "x.csv"),
        ("run", "train", "titanic", "--force"),
        ("run", "deploy", "titanic", "--as-of", "2026-01-01"),
    ],
)
def test_an_option_that_does_not_apply_is_refused(
    arguments: tuple[str, ...], evergreen: Evergreen, tmp_path: Path
) -> None:
    done = evergreen(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "leave" in done.stderr


def test_a_message_is_not_cut_at_the_width_of_a_pipe(tmp_path: Path) -> None:
    name = "x" * 150
    done = as_process("run", "train", name, home=tmp_path, COLUMNS="80")
    assert f"there is no use case '{name}'" in done.stderr


def test_what_may_not_be_wrapped_is_printed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines to copy are not cut at the width of the terminal, wherever they stand among other lines."""
    written, line = io.StringIO(), "retrain=RetrainPolicy(" + "x" * 150
    monkeypatch.setitem(show_facts.__globals__, "out", Console(file=written, width=40))
    words = Text("some words that are wrapped at the usual width")
    show_facts({}, False, lambda: Group(words, Text(line, no_wrap=True, overflow="ignore")))
    assert written.getvalue().splitlines() == ["some words that are wrapped at the usual", "width", line]


def test_status_without_a_stack_says_how_to_start_it(evergreen: Evergreen, tmp_path: Path) -> None:
    done = evergreen("status", home=tmp_path)
    assert done.returncode == 1
    assert "evergreen up" in done.stdout
    assert json.loads(evergreen("status", "--json", home=tmp_path).stdout)["state"] == "stopped"


def test_down_without_a_stack_is_no_error(evergreen: Evergreen, tmp_path: Path) -> None:
    done = evergreen("down", home=tmp_path)
    assert done.returncode == 0
    assert "Nothing was running" in done.stdout


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nimport evergreen.cli\n"
        "heavy = {'pandas', 'pyarrow', 'mlflow', 'catboost', 'airflow', 'bentoml', 'sqlalchemy'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("s3://bucket/day=1/rows.csv", "s3://bucket/day=1/rows.csv"),
        ("facts=a.csv, label=s3://b/c.csv", "facts={here}/a.csv,label=s3://b/c.csv"),
        ("facts=a,b.csv", "facts={here}/a,b.csv"),
        ("month=1/rows.csv", "{here}/month=1/rows.csv"),
        ("landing/*.csv", "{here}/landing/*.csv"),
    ],
)
def test_paths_are_made_what_they_are_from_anywhere(
    source: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen.cli.loop import _resolve_sources

    monkeypatch.chdir(tmp_path)
    (tmp_path / "month=1").mkdir()
    (tmp_path / "month=1" / "rows.csv").touch()
    assert _resolve_sources(source) == expected.format(here=tmp_path)


def test_score_tells_of_refused_rows_and_exits_4(
    evergreen: Evergreen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [{"row": row, "error": f"age is not a number in {row}"} for row in range(1, 8)]
    warning = {"column": "fare", "check": "is more than 9", "count": 1, "examples": ["12"]}
    outcome = {"rows": 10, "refused": 7, "refusals": refusals, "warnings": [warning], "model_version": 3}
    asked: list[object] = []

    def score_file(*_: object, **options: object) -> dict[str, object]:
        asked.append(options)
        return {**outcome, "output": "out.csv"}

    monkeypatch.setattr("evergreen.loop.score.score_file", score_file)
    words = ("score", "titanic", "--input", "in.csv", "--output", "out.csv")
    done = evergreen(*words, home=tmp_path)
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "3 of 10 rows scored by v3: out.csv",
        "7 refused, their answers are empty:",
        "  row 1: age is not a number in 1",
    ]
    assert lines[-2:] == ["  and 2 more", "warning: fare is more than 9 in 1 row: '12'"]
    done = evergreen(*words, "--json", "--on-error", "row", "--raw-text", home=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["refused"]) == (4, 7)
    assert asked == [{"on_error": None, "raw_text": False}, {"on_error": "row", "raw_text": True}]
    outcome |= {"refused": 0, "refusals": [], "warnings": []}
    done = evergreen(*words, home=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "10 rows scored by v3: out.csv")
