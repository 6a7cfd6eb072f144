"""Raw rows for the data contract."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest


@pytest.fixture
def raw(toy_source: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """100 sound rows as a CSV would hold them."""
    frame = toy_source(100)
    return frame.astype(object).map(lambda value: None if pd.isna(value) else str(value))
