"""Secrets that others may know are refused before anything starts, without being shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose.secret_files import SECRET_VARIABLES
from evergreen.stack.deploy.secret_check import find_weak_secrets

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("", "is empty"),
        ("hunter2", "has fewer than 16 characters"),
        ("abababababababababab", "repeats few characters"),
        ("ChangeMe-4-production", "looks like one of an example"),
        ("my-Example-key-0123", "looks like one of an example"),
        ("0f9d2c71ab34e658d0c1", ""),
    ],
)
def test_what_somebody_could_guess_is_named(secret: str, fault: str) -> None:
    assert find_weak_secrets({"A": secret}, ["A"]) == ({"A": fault} if fault else {})


def run_check(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", facts.SECRET_CHECK_MODULE, *SECRET_VARIABLES],
        env={**{k: v for k, v in os.environ.items() if k not in SECRET_VARIABLES}, **variables},
        capture_output=True,
        text=True,
    )


def test_what_make_env_writes_passes_and_one_weak_secret_fails(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "new-env.sh", tmp_path / "scripts")
    subprocess.run(["sh", script], check=True, capture_output=True)
    variables = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert run_check(variables).returncode == 0
    refused = run_check({**variables, "POSTGRES_PASSWORD": "my-postgres-password"})
    assert refused.returncode == 1
    assert "POSTGRES_PASSWORD looks like one of an example" in refused.stderr
    assert "make env" in refused.stderr
    assert "my-postgres-password" not in refused.stdout + refused.stderr
