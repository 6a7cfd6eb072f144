"""The point-in-time join against a brute-force reference, on whatever hypothesis thinks of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.store.training_set import join

T0 = pd.Timestamp("2026-01-01", tz="UTC")

# Few keys and moments, so that ties, gaps and equal moments happen often. A row is true at (key, minute).
moments = st.tuples(st.integers(0, 3), st.integers(0, 6))
rows = st.dictionaries(moments, st.one_of(st.none(), st.integers(-5, 5)), max_size=14)
shuffles = st.randoms(use_true_random=False)


def frame(found: dict[tuple[int, int], Any], value: str, shuffle: Any) -> pd.DataFrame:
    items = list(found.items())
    shuffle.shuffle(items)
    return pd.DataFrame(
        {
            "key": np.array([key for (key, _), _ in items], dtype=np.int64),
            "event_time": pd.Series(
                [T0 + pd.Timedelta(minutes=minute) for (_, minute), _ in items], dtype="datetime64[us, UTC]"
            ),
            value: np.array([np.nan if v is None else v for _, v in items], dtype=np.float64),
        }
    )


def newest(view: dict[tuple[int, int], Any], key: int, minute: int) -> tuple[bool, float]:
    """Whether the view knows the key by then, and its value: the definition, in one loop."""
    found = [(at, v) for (k, at), v in view.items() if k == key and at <= minute]
    if not found:
        return False, math.nan
    value = max(found, key=lambda pair: pair[0])[1]
    return True, math.nan if value is None else float(value)


@settings(max_examples=150, deadline=None)
@given(labels=st.sets(moments, max_size=14), first=rows, second=rows, shuffle=shuffles)
def test_each_label_gets_the_newest_rows_that_were_true_by_then(
    labels: set[tuple[int, int]], first: dict[Any, Any], second: dict[Any, Any], shuffle: Any
) -> None:
    joined = join(
        frame(dict.fromkeys(labels, 1), "label", shuffle),
        [frame(first, "a", shuffle), frame(second, "b", shuffle)],
        ["key"],
    )
    expected = {}
    for key, minute in labels:
        (knows_a, a), (knows_b, b) = newest(first, key, minute), newest(second, key, minute)
        if knows_a or knows_b:
            expected[key, minute] = (a, b)
    got = {
        (int(row.key), int((row.event_time - T0) / pd.Timedelta(minutes=1))): (row.a, row.b)
        for row in joined.itertuples()
    }
    assert len(joined) == len(expected)
    assert got.keys() == expected.keys()
    np.testing.assert_array_equal([got[k] for k in sorted(got)], [expected[k] for k in sorted(expected)])


def test_text_keys_and_missing_categories() -> None:
    times = pd.Series([T0, T0 + pd.Timedelta(minutes=1)], dtype="datetime64[us, UTC]")
    objects = [pd.Series(values, dtype=object) for values in (["x", "y"], ["x", "x"], ["red", None])]
    labels = pd.DataFrame({"key": objects[0], "event_time": times, "label": objects[0]})
    view = pd.DataFrame({"key": objects[1], "event_time": times, "colour": objects[2]})
    joined = join(labels, [view], ["key"])
    assert joined.to_dict("records") == [{"key": "x", "event_time": T0, "label": "x", "colour": "red"}]
    late = labels.assign(event_time=times + pd.Timedelta(minutes=5))
    assert join(late, [view], ["key"])["colour"].tolist() == [None]
