"""The command as a process: it answers while every server is away, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from evergreen.stack.processes.ports import find_free_port


def test_it_answers_while_every_server_is_away_and_ends_at_sigterm(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    environment = {
        **os.environ,
        "EVERGREEN_HOME": str(tmp_path / "home"),
        "EVERGREEN_USE_CASES": str(tmp_path / "none"),
        "EVERGREEN_MARIADB_PORT": str(find_free_port()),
        "EVERGREEN_MLFLOW_TRACKING_URI": nowhere,
        "EVERGREEN_AIRFLOW_URL": nowhere,
    }
    command = [sys.executable, "-m", "evergreen.cli", "exporter", "--port", "0", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            url = json.loads("".join(lines))["url"]
            page = httpx.get(url, trust_env=False).text
            for collector in ("mariadb", "tables", "mlflow", "airflow"):
                assert f'evergreen_exporter_up{{collector="{collector}"}} 0.0' in page
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
