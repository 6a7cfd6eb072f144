"""`evergreen deploy compose` writes what is declared, and says when the file is out of date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evergreen.cli.app import app
from evergreen.errors import StackError, UnknownUseCase
from evergreen.settings import Settings
from evergreen.stack.deploy.compose_file import write_compose_file

DECLARATION = """
from dataclasses import replace
from evergreen.usecase import FileSource
from evergreen.usecases.titanic import USE_CASE as TITANIC

def _move(part):
    return replace(part, source=FileSource(path={path!r}))

USE_CASE = replace(
    TITANIC, name={name!r}, views=tuple(_move(view) for view in TITANIC.views), label=_move(TITANIC.label)
)
"""


def declare(root: Path, name: str, path: str = "data/rows.csv") -> None:
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text(DECLARATION.format(name=name, path=path))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".evergreen", use_cases=str(tmp_path / "usecases"))


def test_a_folder_with_a_declaration_is_all_that_a_use_case_needs(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    examples = write_compose_file(settings, path)
    assert examples.use_cases == ("credit_score", "titanic")
    assert examples.folders == ()
    declare(tmp_path / "usecases", "churn_at_sea")
    assert write_compose_file(settings, path, dry_run=True).is_changed
    written = write_compose_file(settings, path)
    assert written.is_changed
    assert written.folders == ("./usecases",)
    assert written.unreachable == {}
    services = yaml.safe_load(path.read_text("utf-8"))["services"]
    assert services["service-churn-at-sea"]["environment"]["EVERGREEN_USE_CASE"] == "churn_at_sea"
    assert not write_compose_file(settings, path).is_changed


def test_a_dry_run_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    assert write_compose_file(settings, path, dry_run=True).is_changed
    assert not path.exists()


def test_a_folder_elsewhere_is_named_in_full_and_a_file_elsewhere_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    declare(tmp_path / "usecases", "wine", "somewhere/wine.csv")
    (tmp_path / "checkout").mkdir()
    written = write_compose_file(settings, tmp_path / "checkout" / "compose.yml", ["wine"])
    assert written.use_cases == ("wine",)
    assert written.folders == (str(tmp_path / "usecases"),)
    assert written.unreachable == {"wine": "somewhere/wine.csv"}


def test_what_cannot_be_written_is_said_with_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UnknownUseCase):
        write_compose_file(settings, tmp_path / "compose.yml", ["titanik"])
    with pytest.raises(StackError, match="cannot be written") as caught:
        write_compose_file(settings, tmp_path / "nowhere" / "compose.yml")
    assert "--output" in caught.value.hint


def test_the_command_writes_checks_and_speaks_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    check = ["deploy", "compose", "--use-case", "titanic", "--check"]
    assert runner.invoke(app, check).exit_code == 1
    result = runner.invoke(app, [*check[:-1], "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["use_cases"] == ["titanic"]
    assert runner.invoke(app, check).exit_code == 0
    assert "service-credit-score" not in (tmp_path / "docker-compose.yml").read_text("utf-8")
