"""The public wine table; its tests are skipped where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

WINE = Path(__file__).resolve().parents[4] / "shared" / "data" / "wine" / "winequality-red.csv"


@pytest.fixture(scope="session")
def wine_csv() -> Path:
    if not WINE.exists():
        pytest.skip(f"the wine file is not there: {WINE}")
    return WINE
