"""The parcel use case, declared in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from evergreen.settings import Settings
from evergreen.usecase import UseCase
from support.parcel_case import declare


@pytest.fixture
def parcel(tmp_path: Path) -> UseCase:
    return declare(Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases")))
