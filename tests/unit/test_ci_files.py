"""What continuous integration and pre-commit call is what people type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/ci.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def list_commands() -> Iterator[str]:
    for job in yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)
    for repository in yaml.safe_load(PRE_COMMIT.read_text("utf-8"))["repos"]:
        yield from (hook["entry"] for hook in repository["hooks"])


@pytest.mark.parametrize("command", [each for each in list_commands() if each.startswith("make ")])
def test_its_make_targets_exist(command: str) -> None:
    words = re.sub(r"\w+=(\S*\$\{\{.*?\}\}|\S+)", "", command).split()[1:]
    assert words
    assert set(words) <= TARGETS


def test_lint_and_all_tests_run_on_each_python_that_the_set_up_takes() -> None:
    commands = set(list_commands())
    assert "make lint" in commands
    assert "make test PYTHON=python${{ matrix.python }} STACKS=2" in commands
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    script = (ROOT / "scripts/setup.sh").read_text("utf-8")
    pythons = re.search(r"for candidate in \$\{PYTHON:-python3 ([^}]*)\}", script)
    assert pythons is not None
    assert {f"python{each}" for each in jobs["test"]["strategy"]["matrix"]["python"]} == set(
        pythons[1].split()
    )
