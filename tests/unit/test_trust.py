"""Folders of other users are refused before anything in them is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evergreen.errors import UntrustedFolder, UseCaseError
from evergreen.settings import STACK_ENV, Settings, load_settings
from evergreen.stack.servers.airflow import find_dags_folder
from evergreen.stack.servers.envfile import collect_user_settings
from evergreen.stack.servers.server_list import build_child_environment
from evergreen.trust import TRUSTED_FOLDERS_VARIABLE, Trust, build_trust
from evergreen.usecases import find_use_case_folders, load_use_case, load_valid_use_cases

ME, OTHER = 1000, 1002
SPY = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nraise RuntimeError('it ran')\n"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def owned(owners: dict[Path, int], exceptions: str = "") -> Trust:
    """Trust of the user ME, to whom belongs all that `owners` does not name."""

    def look_up(path: Path) -> os.stat_result:
        status = list(path.stat())
        status[4] = owners.get(path, ME)
        return os.stat_result(status)

    return Trust(frozenset({0, ME}), exceptions, look_up)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of use cases with one, `spy`, in a folder of its own."""
    code = tmp_path / "project" / "usecases" / "spy"
    (code / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "features.py", "rows.csv", "__pycache__/features.pyc"):
        (code / name).touch(mode=0o644)
    return code.parent


def test_folders_of_the_caller_and_of_root_are_trusted(root: Path) -> None:
    owned({}).check_use_cases(root)
    owned({root: 0, root.parent: 0}).check_use_cases(root)
    owned({root / "spy": 0}).check_code(root / "spy", "it")


@pytest.mark.parametrize("place", [".", ".."])
def test_a_folder_of_another_or_in_one_of_another_is_refused(root: Path, place: str) -> None:
    with pytest.raises(UntrustedFolder, match=f"uid {OTHER}"):
        owned({(root / place).resolve(): OTHER}).check_use_cases(root)


@pytest.mark.parametrize(
    "place", [".", "__init__.py", "features.py", "__pycache__", "__pycache__/features.pyc"]
)
def test_code_of_another_is_refused_wherever_it_lies_in_a_use_case(root: Path, place: str) -> None:
    folder = root / "spy"
    with pytest.raises(UntrustedFolder, match=str((folder / place).resolve())):
        owned({(folder / place).resolve(): OTHER}).check_code(folder, "it")


def test_in_a_folder_of_another_without_use_cases_there_is_nothing_to_refuse(root: Path) -> None:
    owned({root: OTHER}).check_use_cases(root / "usecases")


def test_data_of_another_are_no_code(root: Path) -> None:
    owned({root / "spy" / "rows.csv": OTHER}).check_code(root / "spy", "it")


def test_a_link_counts_as_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "usecases"
    link.symlink_to(root)
    owned({}).check_use_cases(link)
    with pytest.raises(UntrustedFolder, match=str(root)):
        owned({root: OTHER}).check_use_cases(link)


def test_a_folder_of_mine_that_everybody_may_write_is_judged_by_what_is_in_it(root: Path) -> None:
    root.chmod(0o777)
    (root / "spy").chmod(0o777)
    owned({}).check_use_cases(root)
    owned({}).check_code(root / "spy", "it")
    (root / "spy" / "features.py").chmod(0o666)
    with pytest.raises(UntrustedFolder, match="written by everybody") as caught:
        owned({}).check_code(root / "spy", "it")
    assert caught.value.hint == f"chmod o-w {root / 'spy' / 'features.py'}"


def test_the_error_says_the_line_to_type(root: Path) -> None:
    with pytest.raises(UntrustedFolder) as caught:
        owned({root: OTHER}, "/elsewhere").check_use_cases(root)
    line = caught.value.hint.rpartition("export ")[2]
    assert line == f"{TRUSTED_FOLDERS_VARIABLE}=/elsewhere:{root}"
    owned({root: OTHER}, line.partition("=")[2]).check_use_cases(root)


@pytest.mark.parametrize("exception", ["*", "{root}", "{root}/..", "/nowhere:{root}/spy/.."])
def test_an_exception_covers_a_folder_and_all_in_it(root: Path, exception: str) -> None:
    theirs = [root.parent, root, root / "spy", root / "spy" / "features.py"]
    trust = owned(dict.fromkeys(theirs, OTHER), exception.format(root=root))
    trust.check_use_cases(root)
    trust.check_code(root / "spy", "it")


def test_an_exception_covers_no_neighbour(root: Path) -> None:
    with pytest.raises(UntrustedFolder):
        owned({root: OTHER}, f"{root}2:{root / 'spy'}").check_use_cases(root)


@pytest.mark.parametrize(
    ("caller", "sudo", "owners"),
    [
        (1000, "", {0, 1000}),
        (1000, "1002", {0, 1000}),  # anybody may set a variable
        (0, "1002", {0, 1002}),
        (0, "", {0}),
        (0, "someone", {0}),
        (0, "-1", {0}),
    ],
)
def test_whom_a_process_trusts(caller: int, sudo: str, owners: set[int]) -> None:
    assert build_trust("", {"SUDO_UID": sudo}, caller).owners == owners


def test_a_file_cannot_vouch_for_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / STACK_ENV).write_text(f"{TRUSTED_FOLDERS_VARIABLE}=*\nEVERGREEN_AIRFLOW_USER=file\n")
    settings = load_settings(tmp_path)
    assert (settings.trusted_folders, settings.airflow_user) == ("", "file")
    monkeypatch.setenv(TRUSTED_FOLDERS_VARIABLE, "/srv")
    assert load_settings(tmp_path).trusted_folders == "/srv"


def test_servers_trust_what_their_caller_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(trusted_folders="usecases:/srv")
    assert build_child_environment(settings)[TRUSTED_FOLDERS_VARIABLE] == f"{tmp_path / 'usecases'}:/srv"
    assert TRUSTED_FOLDERS_VARIABLE not in collect_user_settings(settings)  # which stack.env is made of
    assert build_child_environment(Settings(trusted_folders="*"))[TRUSTED_FOLDERS_VARIABLE] == "*"


@pytest.fixture
def give(tmp_path: Path) -> Callable[[Path], Path]:
    def give(path: Path) -> Path:
        for each in (path, *path.rglob("*")):
            os.chown(each, OTHER, OTHER)
        return path

    return give


@as_root
def test_a_home_of_another_is_refused_before_its_settings_are_read(
    tmp_path: Path, give: Callable[[Path], Path]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / STACK_ENV).write_text("EVERGREEN_MARIADB_PORT=no number\n")
    give(home)
    with pytest.raises(UntrustedFolder, match=str(home)):
        load_settings(home)


@as_root
def test_settings_of_another_in_a_home_of_mine_are_refused(
    tmp_path: Path, give: Callable[[Path], Path]
) -> None:
    give(_written(tmp_path / STACK_ENV, ""))
    with pytest.raises(UntrustedFolder, match=STACK_ENV):
        load_settings(tmp_path)


@as_root
def test_use_cases_of_another_are_neither_listed_nor_run(
    tmp_path: Path, give: Callable[[Path], Path]
) -> None:
    root = tmp_path / "usecases"
    code = _written(root / "spy" / "__init__.py", SPY)
    give(root)
    settings = Settings(home=tmp_path, use_cases=str(root))
    for refused in (find_use_case_folders, load_valid_use_cases, lambda given: load_use_case("spy", given)):
        with pytest.raises(UntrustedFolder):
            refused(settings)
    assert not code.with_name("ran").exists()
    trusting = settings.model_copy(update={"trusted_folders": str(root)})
    with pytest.raises(UseCaseError, match="it ran"):
        load_use_case("spy", trusting)


@as_root
def test_one_use_case_of_another_is_refused_alone(tmp_path: Path, give: Callable[[Path], Path]) -> None:
    root = tmp_path / "usecases"
    give(_written(root / "spy" / "__init__.py", SPY).parent)
    sound, faults = load_valid_use_cases(Settings(home=tmp_path, use_cases=str(root)))
    assert "titanic" in sound
    assert f"uid {OTHER}" in str(faults["spy"])
    assert TRUSTED_FOLDERS_VARIABLE in faults["spy"].hint
    assert not (root / "spy" / "ran").exists()


@as_root
def test_dag_files_of_another_are_refused(tmp_path: Path, give: Callable[[Path], Path]) -> None:
    give(_written(tmp_path / "dags" / "ingest.py", "").parent)
    with pytest.raises(UntrustedFolder, match="DAG files"):
        find_dags_folder(Settings(dags=tmp_path / "dags"))


@as_root
@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("usecases", ["status"]),
        ("usecases", ["use-cases"]),
        (".evergreen", ["status"]),
        (".evergreen", ["down"]),
        (".evergreen", ["profile", "titanic"]),
    ],
)
def test_no_command_runs_what_stands_in_a_folder_of_another(
    tmp_path: Path, give: Callable[[Path], Path], place: str, command: list[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    code = _written(tmp_path / "theirs" / place / "spy" / "__init__.py", SPY)
    _written(
        tmp_path / "theirs" / place / STACK_ENV,
        f"EVERGREEN_USE_CASES={tmp_path}\n{TRUSTED_FOLDERS_VARIABLE}=*\n",
    )
    give(tmp_path / "theirs" / place)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "evergreen.cli", *command],
        cwd=tmp_path / "theirs",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == UntrustedFolder.exit_code, done.stderr
    assert f"export {TRUSTED_FOLDERS_VARIABLE}={tmp_path / 'theirs' / place}" in done.stderr
    assert not code.with_name("ran").exists()


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_loop_of_links_is_named(tmp_path: Path) -> None:
    link = tmp_path / "usecases"
    link.symlink_to(link)
    with pytest.raises(UntrustedFolder, match="nobody can tell whose"):
        owned({}).check_folder(link, "the home")
