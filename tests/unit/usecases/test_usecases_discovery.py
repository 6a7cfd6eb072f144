"""Use cases are found by folder; a broken one fails loudly, by file and line, and alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evergreen.errors import UnknownUseCase, UseCaseError
from evergreen.settings import Settings
from evergreen.usecases import find_use_case_folders, load_submodule, load_use_case, load_valid_use_cases

DECLARATION = """
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase

SOURCE = FileSource("x.csv")
USE_CASE = UseCase(
    name="{name}",
    title="Mine",
    meaning="Mine",
    entity=Entity("thing", (Key("thing_id", "int", "Its number"),)),
    views=(FeatureView("facts", SOURCE, (Feature("size", "float", "Its size"),), "Facts"),),
    label=Label("sold", SOURCE, "Was it sold?", classes=("no", "yes")),
)
"""


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(use_cases=str(tmp_path))


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)


def test_the_packaged_ones_and_your_own_are_equal(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "mine", DECLARATION.format(name="mine"))
    assert {"credit_score", "titanic", "mine"} <= set(find_use_case_folders(own))
    assert load_use_case("mine", own).title == "Mine"


def test_an_unknown_one_gets_the_nearest_name(own: Settings) -> None:
    with pytest.raises(UnknownUseCase, match="did you mean 'titanic'"):
        load_use_case("titanik", own)


def test_a_broken_one_names_its_file_and_line(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "broken", "x = 1\ny = undefined_name\n")
    with pytest.raises(UseCaseError, match=r"broken/__init__\.py:2: NameError"):
        load_use_case("broken", own)
    assert load_use_case("titanic", own).name == "titanic"


def test_a_syntax_error_names_its_line(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "garbled", "x = 1\n\ndef (:\n")
    with pytest.raises(UseCaseError, match=r"garbled/__init__\.py:3: SyntaxError"):
        load_use_case("garbled", own)


def test_a_folder_without_a_declaration_says_what_to_add(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "hollow", "")
    with pytest.raises(UseCaseError, match="USE_CASE = UseCase"):
        load_use_case("hollow", own)


def test_folder_and_use_case_carry_one_name(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "mine", DECLARATION.format(name="yours"))
    with pytest.raises(UseCaseError, match="'yours'"):
        load_use_case("mine", own)


def test_a_mended_one_loads_in_the_same_process(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "mine", "raise RuntimeError('not yet')")
    with pytest.raises(UseCaseError, match="not yet"):
        load_use_case("mine", own)
    (tmp_path / "mine" / "__init__.py").write_text(DECLARATION.format(name="mine"))
    assert load_use_case("mine", own).name == "mine"


def test_a_module_beside_the_declaration_is_found(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "mine", DECLARATION.format(name="mine"))
    (tmp_path / "mine" / "simulator.py").write_text("from evergreen_usecases_mine import USE_CASE\n")
    module = load_submodule("mine", "simulator", own)
    assert module is not None
    assert module.USE_CASE.name == "mine"
    assert load_submodule("mine", "nothing", own) is None


@pytest.mark.parametrize("exit_line", ["sys.exit(3)", "raise SystemExit", "exit()"])
def test_one_that_ends_the_program_is_a_fault_of_its_own(
    own: Settings, tmp_path: Path, exit_line: str
) -> None:
    write(tmp_path / "mine", DECLARATION.format(name="mine"))
    write(tmp_path / "ends", f"import sys\nfrom os import path\n{exit_line}\n")
    sound, faults = load_valid_use_cases(own)
    assert "mine" in sound
    assert re.search(r"ends/__init__\.py:3: the code ends the program", str(faults["ends"]))


def test_a_module_of_its_folder_that_ends_the_program_is_named(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "ended", DECLARATION.format(name="ended"))
    (tmp_path / "ended" / "simulator.py").write_text("\nraise SystemExit(1)\n")
    with pytest.raises(UseCaseError, match=r"ended/simulator\.py:2: the code ends the program"):
        load_submodule("ended", "simulator", own)


def test_an_interrupt_while_one_loads_interrupts(own: Settings, tmp_path: Path) -> None:
    write(tmp_path / "slow", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_use_case("slow", own)
