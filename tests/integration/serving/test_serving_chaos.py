"""`make chaos` in small: what the service promises under faults, as far as no other test here shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

# All faults are made by one run, on one MariaDB.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FAULTS = (
    "mariadb_away",
    "table_locked",
    "challenger_raises",
    "disk_full",
    "spool_spoilt",
    "service_stopped",
    "two_replicas",
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The run, with the JSON as its standard output."""
    output = tmp_path_factory.mktemp("chaos") / "chaos.json"
    chosen = [word for name in FAULTS for word in ("--only", name)]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", "--quick", "--json", "--output", output, *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FAULTS)
def test_a_promise_is_kept(done: subprocess.CompletedProcess[str], told: Any, name: str) -> None:
    fault = told["faults"][name]
    if "skipped" in fault:
        pytest.skip(fault["skipped"])
    assert fault["broken"] == [], done.stderr[-3000:]
    assert fault["passed"] is True
    assert fault["acknowledged"] > 0
    assert (fault["doubled"], fault["failed"]) == (0, 0)
    # What lies in bytes that were overwritten cannot be kept: it is told.
    assert (fault["lost"] > 0) == (name == "spool_spoilt")


def test_the_run_tells_whether_all_were_kept(done: subprocess.CompletedProcess[str], told: Any) -> None:
    assert done.returncode == 0
    assert (told["passed"], told["broken"], told["missing"]) == (True, [], [])
    assert not told["full_size"]
    assert set(told["faults"]) == set(FAULTS)
    for fault in told["faults"].values():
        assert {"promise", "acknowledged", "lost", "doubled", "failed", "seconds", "limits"} <= set(fault)
