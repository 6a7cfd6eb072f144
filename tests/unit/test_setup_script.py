"""The set-up script where something is missing: it says what, and touches nothing that it may not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "dirname", "env", "flock", "mv", "rm", "sed", "sha256sum", "tail", "mkdir", "touch")
READ = (
    "scripts/setup.sh",
    "scripts/uv-requirements.txt",
    "scripts/build-requirements.txt",
    "requirements.lock",
    "pyproject.toml",
)
IMAGE_LOCKS = tuple(f"requirements/{image}.lock" for image in ("airflow", "mlflow", "serving"))
# A stub of .venv's Python: pip and the last check are written down, everything else is the real one's work.
VENV_PYTHON = """
case "$*" in
    "-m pip "*"config list") printf "global.index-url='%s'\\n" file:///an/index ;;
    "-m pip "*) echo "pip: $*" >> {calls} ;;
    *"import pip"* | *"import evergreen"*) ;;
    *) exec {python} "$@" ;;
esac
"""
UV = """
if [ "$1" = --version ]; then echo "uv {version} (for a test)"; exit; fi
echo "uv: $* [index=$UV_DEFAULT_INDEX strategy=$UV_INDEX_STRATEGY]" >> {calls}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads, and a PATH of its own with no compiler, pkg-config or sudo."""
    for name in READ:
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    python = Path(os.path.realpath(ROOT / ".venv" / "bin" / "python"))
    stub(tmp_path, "python3", f'exec {python} "$@"')
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    return tmp_path / "checkout"


def stub(folder: Path, name: str, body: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def environment_of_stubs(checkout: Path) -> Path:
    """A .venv whose Python and uv only write down what is asked of them; where they write it."""
    calls = checkout.parent / "calls"
    python = Path(os.path.realpath(ROOT / ".venv" / "bin" / "python"))
    stub(checkout / ".venv", "python", VENV_PYTHON.format(calls=calls, python=python))
    stub(checkout / ".venv" / "tools", "uv", UV.format(calls=calls, version=pinned_uv()))
    return calls


def pinned_uv() -> str:
    first = (ROOT / "scripts" / "uv-requirements.txt").read_text().split()[0]
    return first.removeprefix("uv==")


def set_up(
    checkout: Path, *arguments: str, user: int = 1000, **environment: str
) -> subprocess.CompletedProcess[str]:
    stub(checkout.parent, "id", f"echo {user}")
    return subprocess.run(
        ["bash", str(checkout / "scripts" / "setup.sh"), *arguments],
        env={
            "PATH": str(checkout.parent / "bin"),
            "EVERGREEN_SETUP_SBIN": "",
            "EVERGREEN_SETUP_OS_RELEASE": str(checkout.parent / "os-release"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_rights_it_prints_the_command_and_stops(checkout: Path) -> None:
    result = set_up(checkout)
    assert result.returncode == 1
    assert "  pkg-config: to build mysqlclient" in result.stderr
    assert "neither root nor sudo" in result.stderr
    assert "apt-get update && apt-get install -y" in result.stderr
    assert " gcc" in result.stderr
    assert not (checkout / ".venv").exists()


def test_on_an_unknown_system_it_prints_the_packages_and_stops(checkout: Path) -> None:
    (checkout.parent / "os-release").write_text("ID=plan9\nVERSION_ID=4\n")
    stub(checkout.parent, "apt-get", "echo must not run >&2; exit 1")
    result = set_up(checkout, user=0)
    assert result.returncode == 1
    assert "This system (plan9 4) is none that Evergreen knows" in result.stderr
    assert "must not run" not in result.stderr
    assert not (checkout / ".venv").exists()


def test_it_says_what_it_installs_before_and_never_removes_or_starts_a_server(checkout: Path) -> None:
    """mariadb-server would start a server; its program alone, mariadb-server-core, does not."""
    calls = checkout.parent / "calls"
    stub(checkout.parent, "apt-get", f'echo "$@" >> {calls}; [ "$1" = update ] || exit 100')
    for server in ("mariadbd", "systemctl", "service"):
        stub(checkout.parent, server, f"echo {server} was run >> {calls}")
    result = set_up(checkout, user=0)
    assert result.returncode == 1
    said = result.stderr
    assert said.index("which are not installed") < said.index("Installing them now") < said.index("failed")
    update, install = calls.read_text().splitlines()
    assert update.startswith("update")
    assert "--no-remove" in install
    assert {"mariadb-server-core", "mariadb-client-core", "mariadb-client"} <= set(install.split())
    assert not {"mariadb-server", "default-mysql-server"} & set(install.split())
    assert not (checkout / ".venv").exists()


def test_it_waits_for_a_machine_that_is_updating_itself(checkout: Path) -> None:
    calls = checkout.parent / "calls"
    stub(
        checkout.parent,
        "apt-get",
        f'echo "$@" >> {calls}; [ "$1" = update ] && [ "$(grep -c ^update {calls})" -eq 3 ]',
    )
    (checkout.parent / "bin" / "grep").symlink_to(shutil.which("grep") or "")
    stub(checkout.parent, "sleep", "exit 0")
    result = set_up(checkout, user=0)
    *updates, install = calls.read_text().splitlines()
    assert [update.split()[0] for update in updates] == ["update"] * 3
    assert all("DPkg::Lock::Timeout=600" in call for call in (*updates, install))
    assert "going on with the package lists" not in result.stderr


def test_without_a_reachable_mirror_it_goes_on_in_the_end(checkout: Path) -> None:
    calls = checkout.parent / "calls"
    stub(checkout.parent, "apt-get", f'echo "$@" >> {calls}; exit 100')
    stub(checkout.parent, "sleep", "exit 0")
    result = set_up(checkout, user=0)
    assert "going on with the package lists" in result.stderr
    assert calls.read_text().splitlines()[-1].startswith("install")


def test_what_builds_is_installed_first_and_nothing_is_built_with_anything_else(
    checkout: Path, environment_of_stubs: Path
) -> None:
    result = set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip")
    assert result.returncode == 0, result.stderr
    build, lock, itself = environment_of_stubs.read_text(encoding="utf-8").splitlines()
    assert build.endswith(
        "-r scripts/build-requirements.txt [index=file:///an/index strategy=unsafe-best-match]"
    )
    assert "--require-hashes" in build
    assert "--require-hashes" in lock
    assert "requirements.lock" in lock
    assert "--editable ." in itself
    assert "--no-deps" in itself
    assert all("--no-build-isolation" in call for call in (build, lock, itself))


def test_pip_does_the_same_where_uv_does_not_get_through(checkout: Path, environment_of_stubs: Path) -> None:
    stub(checkout / ".venv" / "tools", "uv", f'[ "$1" = --version ] && echo "uv {pinned_uv()}"')
    result = set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip")
    assert result.returncode == 0, result.stderr
    build, lock, itself = environment_of_stubs.read_text(encoding="utf-8").splitlines()
    assert all(call.startswith("pip: ") and "--no-build-isolation" in call for call in (build, lock, itself))
    assert all("--require-hashes" in call for call in (build, lock))


def test_the_second_run_without_mariadb_has_nothing_to_do(checkout: Path, environment_of_stubs: Path) -> None:
    first = set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip")
    assert "Set-up done." in first.stderr
    said = environment_of_stubs.read_text(encoding="utf-8")
    second = set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip")
    assert (second.returncode, second.stderr) == (0, "")
    assert environment_of_stubs.read_text(encoding="utf-8") == said
    assert set_up(checkout).returncode == 1  # who does not skip them needs them


@pytest.mark.parametrize("version", ["0.0.1", f"{pinned_uv()}0"])
def test_a_new_pin_of_uv_reaches_an_environment_that_has_an_old_one(
    checkout: Path, environment_of_stubs: Path, version: str
) -> None:
    stub(checkout / ".venv" / "tools", "uv", UV.format(calls=environment_of_stubs, version=version))
    assert set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip").returncode == 0
    first = environment_of_stubs.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("pip: ")
    assert "-r scripts/uv-requirements.txt" in first


def test_locking_asks_the_index_of_pips_configuration_and_no_other(
    checkout: Path, environment_of_stubs: Path
) -> None:
    """Nothing is hashed while it is being resolved, so that the order of the indexes must count."""
    set_up(checkout, EVERGREEN_SYSTEM_PACKAGES="skip")
    environment_of_stubs.unlink()
    result = set_up(checkout, "lock", "--upgrade", EVERGREEN_SYSTEM_PACKAGES="skip")
    assert result.returncode == 0, result.stderr
    lock, build, *calls = environment_of_stubs.read_text(encoding="utf-8").splitlines()
    images, rest = calls[:3], calls[3:]
    assert "--output-file requirements.lock --upgrade" in lock
    assert "--constraint requirements.lock --output-file scripts/build-requirements.txt" in build
    for image, call in zip(("airflow", "mlflow", "serving"), images, strict=True):
        assert f"--group image-{image} " in call
        assert f"--output-file requirements/{image}.lock --upgrade" in call
        # A lock that was not there begins with the versions of the tests.
        assert (checkout / "requirements" / f"{image}.lock").read_text() == (
            checkout / "requirements.lock"
        ).read_text()
    for call in (lock, build, *images):
        assert call.startswith("uv: pip compile")
        assert call.endswith("[index=file:///an/index strategy=]")
        assert "--generate-hashes" in call
    assert len(rest) == 3


def test_without_a_fitting_python_it_says_which_it_needs(checkout: Path) -> None:
    stub(checkout.parent, "python3", "exit 1")
    result = set_up(checkout, user=0)
    assert result.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in result.stderr


def test_no_index_address_stands_in_what_the_set_up_reads() -> None:
    for name in (*READ, *IMAGE_LOCKS, "Makefile"):
        assert "://" not in (ROOT / name).read_text(), name


@pytest.mark.parametrize(
    "name", [name for name in (*READ, *IMAGE_LOCKS) if name.endswith(("-requirements.txt", ".lock"))]
)
def test_locked_packages_have_versions_and_hashes_and_no_place_of_this_machine(name: str) -> None:
    for line in filter(None, (ROOT / name).read_text().splitlines()):
        assert re.fullmatch(
            r"[a-z0-9-]+==\S+( ; [^/]+)? \\| {4}--hash=sha256:[0-9a-f]{64}( \\)?|\s*#.*", line
        ), line
        assert "/" not in line.replace("# via -c", ""), line


def test_what_builds_has_the_same_versions_in_both_files() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^ ]+", (ROOT / name).read_text(), re.MULTILINE))

    build = versions("scripts/build-requirements.txt")
    assert {"hatchling", "setuptools", "editables"} <= {pin.partition("==")[0] for pin in build}
    assert build <= versions("requirements.lock")
