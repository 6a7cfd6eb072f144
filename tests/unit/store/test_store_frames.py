"""Digests and small conversions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import StoreError
from evergreen.store.frames import as_column, digest, digest_of
from evergreen.store.migrations import statements
from evergreen.store.predictions import predicted_at
from evergreen.store.times import aware, naive

SCRIPT = """
import numpy as np, pandas as pd
from evergreen.store.frames import digest
print(digest(pd.DataFrame({"k": [1, 2], "x": [0.5, np.nan], "c": pd.Series(["ü", None], dtype=object)})))
"""


def test_a_digest_is_the_same_in_another_process() -> None:
    frame = pd.DataFrame({"k": [1, 2], "x": [0.5, np.nan], "c": pd.Series(["ü", None], dtype=object)})
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest(frame)


def test_a_digest_sees_every_change(toy_frames: Callable[..., dict[str, pd.DataFrame]]) -> None:
    frame = toy_frames(20)["facts"]
    changed = [
        frame.assign(age=frame["age"].where(frame.index != 3, 1.25)),
        frame.assign(mood=frame["mood"].where(frame.index != 3, None)),
        frame.assign(mood=frame["mood"].where(frame.index != 3, "")),
        frame.rename(columns={"mood": "modo"}),
        frame.iloc[::-1],
        frame.iloc[1:],
        frame.assign(event_time=frame["event_time"] + pd.Timedelta(microseconds=1)),
    ]
    digests = {digest(other) for other in [frame, *changed]}
    assert len(digests) == 8
    assert digest(frame.copy()) == digest(frame)


def test_a_digest_does_not_see_representations() -> None:
    objects = pd.DataFrame({"c": pd.Series(["a", None], dtype=object), "x": [-0.0, np.nan]})
    strings = pd.DataFrame({"c": pd.Series(["a", None], dtype="str"), "x": [0.0, -np.nan]})
    assert digest(objects) == digest(strings)
    assert digest_of({"a": objects}) != digest_of({"b": objects})


def test_columns_have_the_shared_dtypes() -> None:
    assert as_column([1, None], "number").dtype == np.float64
    assert as_column([1, 2], "key_int").dtype == np.int64
    assert as_column([1, None], "key_int").dtype == "Int64"
    assert as_column([None, None], "moment").dtype == "datetime64[us, UTC]"
    assert as_column([datetime(2026, 1, 1)], "moment")[0] == pd.Timestamp("2026-01-01", tz="UTC")  # noqa: DTZ001
    assert as_column([], "moment").dtype == "datetime64[us, UTC]"
    assert as_column(["a", None], "string").tolist() == ["a", None]


def test_moments_go_in_and_out_as_utc() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert naive(moment).isoformat() == "2026-01-01T00:00:00"
    assert aware(naive(moment)) == moment
    with pytest.raises(StoreError, match="no time zone"):
        naive(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_prediction_id_carries_its_moment() -> None:
    # The example of RFC 9562, appendix A.6.
    expected = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert predicted_at("017F22E2-79B0-7CC3-98C4-DC0C0C07398F") == expected
    for text in ("", "x", "7b2e1f6a-8a5c-4c1e-9e55-0a4c1d6f7e21"):
        with pytest.raises(StoreError, match="not a prediction id"):
            predicted_at(text)


def test_migrations_are_split_at_line_ends() -> None:
    script = "-- a; comment;\nCREATE TABLE a (\n  b INT COMMENT 'x; 100%'\n) ;\n\nDROP TABLE a;\n"
    assert statements(script) == ["CREATE TABLE a (\n  b INT COMMENT 'x; 100%%'\n)", "DROP TABLE a"]
