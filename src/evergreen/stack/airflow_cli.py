"""Airflow's own command line with the environment of the embedded stack, which is all its configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from dotenv import dotenv_values

from evergreen.errors import StackNotRunning
from evergreen.settings import STACK_ENV, load_settings
from evergreen.stack.servers import airflow
from evergreen.stack.servers.keys import load_or_create_keys
from evergreen.stack.servers.server_list import build_child_environment


def run_airflow(home: Path, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by `airflow ARGUMENTS` with the environment of the stack's Airflow.

    Raises StackNotRunning when no stack was ever up in this home.
    """
    if not (home / STACK_ENV).exists():
        raise StackNotRunning(f"there is no stack in {home}", hint="start it: evergreen up")
    settings = load_settings(home)
    environment = {
        **build_child_environment(settings),
        **airflow.build_airflow_environment(
            home / "airflow",
            urlsplit(settings.airflow_url).port or 80,
            load_or_create_keys(home),
            airflow.find_dags_folder(settings),
        ),
        **{
            name: value
            for name, value in dotenv_values(home / STACK_ENV).items()
            if name.startswith("AIRFLOW_CONN_") and value is not None
        },
        # The command may be typed in any folder; an airflow.py there must not be imported.
        "PYTHONSAFEPATH": "1",
    }
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *arguments], environment)
