"""The whole loop on public tables: Titanic's, and those that `evergreen new` declares, on a stack that is up.

They have a stack of their own, so that two processes share the whole-stack tests evenly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.whole_stack import make_stack_home, run_evergreen

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose stack is up."""
    with make_stack_home("credit_score", "titanic", "wine", "ship") as home:
        done = run_evergreen(home, "up")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        yield home


def test_titanic_goes_from_a_file_to_a_submission(
    home: Path, titanic_csv: Path, titanic_test_csv: Path, tmp_path: Path
) -> None:
    done = run_evergreen(home, "demo", "titanic", "--csv", str(titanic_csv))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    submission = tmp_path / "submission.csv"
    done = run_evergreen(
        home,
        *("score", "titanic", "--input", str(titanic_test_csv), "--output", str(submission)),
        *("--columns", "PassengerId=passenger_id,Survived=prediction"),
    )
    assert done.returncode == 0, done.stderr
    lines = submission.read_text().splitlines()
    assert lines[0] == "PassengerId,Survived"
    assert len(lines) == 419
    assert {line.split(",")[1] for line in lines[1:]} == {"0", "1"}


@pytest.mark.parametrize(
    ("name", "file", "options", "problem"),
    [
        ("wine", "wine/winequality-red.csv", ("--target", "quality"), "regression"),
        ("ship", "titanic/train.csv", ("--key", "PassengerId", "--target", "Survived"), "binary"),
    ],
)
def test_a_table_of_ones_own_goes_through_the_whole_loop_unedited(
    home: Path, name: str, file: str, options: tuple[str, ...], problem: str
) -> None:
    table = SHARED_DATA / file
    if not table.exists():
        pytest.skip(f"the public table is not there: {table}")
    # The stack is up already: the new use case joins it while it runs.
    done = run_evergreen(home, "new", name, "--from", str(table), *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problem"] == problem
    done = run_evergreen(home, "demo", name)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    taken = json.loads((home / "demo.json").read_text())
    assert taken["verified"] is True
    assert taken["sent"] == taken["logged"] == 2000
    answer = httpx.post(f"{taken['service']}/predict_by_key", json={"data": taken["example_key"]}, timeout=30)
    assert ("probabilities" in answer.json()) is (problem != "regression")
    done = run_evergreen(home, "profile", name, "--json")
    assert done.returncode == 0, done.stderr
    assert "Target by group" in Path(json.loads(done.stdout)["page"]).read_text(encoding="utf-8")
