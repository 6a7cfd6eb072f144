"""Small conversions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import StoreError
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.predictions.prediction_id import parse_prediction_time
from evergreen.store.tables.frames import to_column
from evergreen.store.tables.sql_files import split_statements


def test_columns_have_the_shared_dtypes() -> None:
    assert to_column([1, None], "number").dtype == np.float64
    assert to_column([1, 2], "key_int").dtype == np.int64
    assert to_column([1, None], "key_int").dtype == "Int64"
    assert to_column([None, None], "moment").dtype == "datetime64[us, UTC]"
    assert to_column([datetime(2026, 1, 1)], "moment")[0] == pd.Timestamp("2026-01-01", tz="UTC")  # noqa: DTZ001
    assert to_column([], "moment").dtype == "datetime64[us, UTC]"
    assert to_column(["a", None], "string").tolist() == ["a", None]


def test_moments_go_in_and_out_as_utc() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert to_naive_utc(moment).isoformat() == "2026-01-01T00:00:00"
    assert to_aware_utc(to_naive_utc(moment)) == moment
    with pytest.raises(StoreError, match="no time zone"):
        to_naive_utc(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_prediction_id_carries_its_moment() -> None:
    # The example of RFC 9562, appendix A.6.
    expected = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert parse_prediction_time("017F22E2-79B0-7CC3-98C4-DC0C0C07398F") == expected
    for text in ("", "x", "7b2e1f6a-8a5c-4c1e-9e55-0a4c1d6f7e21", "ffffffff-ffff-7000-8000-000000000000"):
        with pytest.raises(StoreError, match="not a prediction id"):
            parse_prediction_time(text)


def test_scripts_are_split_at_line_ends() -> None:
    script = "-- a; comment;\nCREATE TABLE a (\n  b INT COMMENT 'x; 100%'\n) ;\n\nDROP TABLE a;\n"
    assert split_statements(script) == ["CREATE TABLE a (\n  b INT COMMENT 'x; 100%'\n)", "DROP TABLE a"]
