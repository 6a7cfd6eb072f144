"""The commands people type: help with examples, clear errors, exit codes, and no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("up", "down", "status", "airflow", "use-cases", "run", "score", "simulate", "demo")


def evergreen(*arguments: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("EVERGREEN_", "AIRFLOW"))}
    environment |= {"EVERGREEN_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", **settings}
    return subprocess.run(
        [sys.executable, "-m", "evergreen.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=home,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    done = evergreen(command, "--help", home=tmp_path)
    assert done.returncode == 0
    assert re.search(r"Examples?\b", done.stdout)
    assert f"evergreen {command}" in done.stdout


def test_help_names_every_command_and_so_does_the_readme(tmp_path: Path) -> None:
    shown = evergreen("--help", home=tmp_path).stdout
    readme = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"^│ ([a-z][a-z-]+)  ", shown, re.MULTILINE))
    assert listed == set(COMMANDS)
    for command in COMMANDS:
        assert re.search(rf"`(evergreen )?{command}\b", readme), command


def test_use_cases_can_be_listed_for_scripts(tmp_path: Path) -> None:
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
        (("simulate", "titanic", "--start", "2026-01-01", "--end", "2026-02-01"), 2, "no simulator"),
    ],
)
def test_bad_input_is_one_message_and_its_exit_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    done = evergreen(*arguments, home=tmp_path)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code


def test_an_unreachable_store_says_where_it_was_looked_for(tmp_path: Path) -> None:
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
def test_a_malformed_setting_is_named(name: str, value: str, told: str, tmp_path: Path) -> None:
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


def test_a_broken_use_case_is_named_and_hides_no_other(broken: str, tmp_path: Path) -> None:
    done = evergreen("use-cases", "--json", home=tmp_path, EVERGREEN_USE_CASES=broken)
    listed = json.loads(done.stdout)
    assert listed["titanic"]["problem"] == "binary"
    assert "broken/__init__.py:1: NameError" in listed["broken"]["error"]
    assert done.returncode == 2


def test_status_tells_of_a_broken_use_case(broken: str, tmp_path: Path) -> None:
    done = evergreen("status", "--json", home=tmp_path, EVERGREEN_USE_CASES=broken)
    assert "broken/__init__.py:1" in " ".join(json.loads(done.stdout)["problems"])


@pytest.mark.parametrize(
    "arguments",
    [("run", "train", "titanic", "--source", "x.csv"), ("run", "deploy", "titanic", "--as-of", "2026-01-01")],
)
def test_an_option_that_does_not_apply_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = evergreen(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "leave" in done.stderr


def test_a_message_is_not_cut_at_the_width_of_a_pipe(tmp_path: Path) -> None:
    name = "x" * 150
    done = evergreen("run", "train", name, home=tmp_path, COLUMNS="80")
    assert f"there is no use case '{name}'" in done.stderr


# Airflow's own commands have an --output of their own.
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"airflow"}))
def test_every_command_speaks_json(command: str, tmp_path: Path) -> None:
    assert "--json" in evergreen(command, "--help", home=tmp_path).stdout


def test_status_without_a_stack_says_how_to_start_it(tmp_path: Path) -> None:
    done = evergreen("status", home=tmp_path)
    assert done.returncode == 1
    assert "evergreen up" in done.stdout
    assert json.loads(evergreen("status", "--json", home=tmp_path).stdout)["state"] == "stopped"


def test_down_without_a_stack_is_no_error(tmp_path: Path) -> None:
    done = evergreen("down", home=tmp_path)
    assert done.returncode == 0
    assert "Nothing was running" in done.stdout


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nimport evergreen.cli\n"
        "heavy = {'pandas', 'mlflow', 'catboost', 'airflow', 'bentoml', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
