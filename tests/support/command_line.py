"""The command line in this process: what a person types, what is printed, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from evergreen.cli import main
from evergreen.cli.app import err, out
from evergreen.settings import Settings


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class CommandLine:
    """Runs `evergreen` with settings from the environment only, 200 columns wide."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str, home: Path, **settings: str) -> Done:
        """Like a subprocess in `home`; `settings` are environment variables."""
        with self.patch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("EVERGREEN_", "AIRFLOW")):
                    patch.delenv(name)
            environment = {"EVERGREEN_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", **settings}
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(home)
            patch.setattr(sys, "argv", ["evergreen", *arguments])
            for console in (out, err):
                patch.setattr(console, "_width", 200)
            self.capture.readouterr()
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            shown = self.capture.readouterr()
        return Done(code, shown.out, shown.err)


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings of a test as environment variables."""
    return {
        "EVERGREEN_USE_CASES": settings.use_cases,
        "EVERGREEN_MARIADB_SOCKET": str(settings.mariadb_socket),
        "EVERGREEN_MARIADB_USER": settings.mariadb_user,
        "EVERGREEN_MARIADB_PASSWORD": settings.mariadb_password.get_secret_value(),
        "EVERGREEN_MARIADB_DATABASE": settings.mariadb_database,
        "EVERGREEN_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
    }
