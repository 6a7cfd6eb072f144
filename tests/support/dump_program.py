"""The program that backups need, which a machine set up by an earlier version may lack."""

from __future__ import annotations

import shutil

import pytest


def require_dump_program() -> None:
    """Skip the test where `mariadb-dump` is not installed."""
    if shutil.which("mariadb-dump") is None:
        pytest.skip("mariadb-dump is not installed here (Debian: apt-get install mariadb-client)")
