"""The set-up script where something is missing: it says what, and touches nothing that it may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "dirname", "env", "flock", "mv", "rm", "sed", "sha256sum", "tail", "mkdir", "touch")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads, and a PATH of its own with no compiler, pkg-config or sudo."""
    for name in ("scripts/setup.sh", "scripts/uv-requirements.txt", "requirements.lock", "pyproject.toml"):
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
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def set_up(checkout: Path, user: int = 1000, **environment: str) -> subprocess.CompletedProcess[str]:
    stub(checkout.parent, "id", f"echo {user}")
    return subprocess.run(
        ["bash", str(checkout / "scripts" / "setup.sh")],
        env={
            "PATH": str(checkout.parent / "bin"),
            "EVERGREEN_SETUP_OS_RELEASE": str(checkout.parent / "os-release"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
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
    calls = checkout.parent / "calls"
    stub(checkout.parent, "apt-get", f'echo "$@" >> {calls}; [ "$1" = update ] || exit 100')
    result = set_up(checkout, user=0)
    assert result.returncode == 1
    said = result.stderr
    assert said.index("which are not installed") < said.index("Installing them now") < said.index("failed")
    update, install = calls.read_text().splitlines()
    assert update.startswith("update")
    assert "--no-remove" in install
    assert "mariadb-server" not in install.replace("mariadb-server-core", "").split()
    assert not (checkout / ".venv").exists()


def test_without_a_fitting_python_it_says_which_it_needs(checkout: Path) -> None:
    stub(checkout.parent, "python3", "exit 1")
    result = set_up(checkout, user=0)
    assert result.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in result.stderr


def test_no_index_address_stands_in_what_the_set_up_reads() -> None:
    for name in ("requirements.lock", "scripts/uv-requirements.txt", "scripts/setup.sh", "Makefile"):
        assert "://" not in (ROOT / name).read_text(), name
