"""The point-in-time join against a brute-force reference, on whatever hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.store.connection.arrow import MOMENT
from evergreen.store.history import asof
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AS_OF = T0 + 5 * MINUTE

# Few keys and moments, so that ties, gaps, late rows and corrections happen often.
whole_keys = st.tuples(st.integers(-1, 2))
text_keys = st.tuples(st.sampled_from(["", "a", "a ", "b", "ü", "😀"]))
pair_keys = st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 2))
minutes = st.integers(0, 7)
values = st.one_of(st.none(), st.integers(-5, 5))


def histories(keys: Any) -> Any:
    """Rows by (key, event minute, ingestion minute), each with a value; and a max age in minutes."""
    rows = st.dictionaries(st.tuples(keys, minutes, minutes), values, max_size=25)
    return st.tuples(rows, st.one_of(st.none(), st.integers(1, 4)))


def worlds() -> Any:
    """Labels by (key, minute), and one to three views, all of one kind of key."""
    return st.sampled_from([whole_keys, text_keys, pair_keys]).flatmap(
        lambda keys: st.tuples(
            st.sets(st.tuples(keys, minutes), max_size=14), st.lists(histories(keys), min_size=1, max_size=3)
        )
    )


def key_columns(keys: Sequence[tuple[Any, ...]], width: int) -> dict[str, pa.Array]:
    columns: list[list[Any]] = [[key[n] for key in keys] for n in range(width)]
    return {
        f"k{n}": pa.array(column, pa.string() if any(isinstance(v, str) for v in column) else pa.int64())
        for n, column in enumerate(columns)
    }


def moments(found: Sequence[int]) -> pa.Array:
    return pa.array([T0 + minute * MINUTE for minute in found], MOMENT)


def label_table(labels: Sequence[tuple[Any, int]], width: int) -> pa.Table:
    return pa.table(
        {
            **key_columns([key for key, _ in labels], width),
            EVENT_TIME: moments([minute for _, minute in labels]),
            "label": pa.array([str(number) for number in range(len(labels))], pa.string()),
        }
    )


def view_table(rows: dict[Any, Any], name: str, width: int, shuffle: Any) -> pa.Table:
    items = list(rows.items())
    shuffle.shuffle(items)
    return pa.table(
        {
            **key_columns([key for (key, _, _), _ in items], width),
            EVENT_TIME: moments([event for (_, event, _), _ in items]),
            INGESTED_AT: moments([ingested for (_, _, ingested), _ in items]),
            name: pa.array([value for _, value in items], pa.float64()),
        }
    )


def expected(rows: dict[Any, Any], max_age: int | None, key: Any, minute: int) -> tuple[bool, Any]:
    """Whether the view knows the key by then, and what it says: the definition, in one loop."""
    known = [
        (event, ingested, value)
        for (k, event, ingested), value in rows.items()
        if k == key and event <= minute and ingested <= 5
    ]
    if not known:
        return False, None
    event, _, value = max(known, key=lambda row: row[:2])
    return True, None if max_age is not None and minute - event > max_age else value


@settings(max_examples=250)
@given(world=worlds(), shuffle=st.randoms(use_true_random=False))
def test_each_label_gets_the_newest_rows_that_were_true_and_known_by_then(world: Any, shuffle: Any) -> None:
    labels, views = list(world[0]), world[1]
    if not labels:
        return
    width = len(labels[0][0])
    keys = [f"k{n}" for n in range(width)]
    got = asof.join_as_of(
        label_table(labels, width),
        [
            (view_table(rows, f"v{n}", width, shuffle), None if age is None else age * MINUTE)
            for n, (rows, age) in enumerate(views)
        ],
        keys,
        AS_OF,
    )
    wanted = []
    for key, minute in sorted(labels, key=lambda label: (label[1], label[0])):
        told = [expected(rows, age, key, minute) for rows, age in views]
        if any(known for known, _ in told):
            wanted.append((*key, T0 + minute * MINUTE, *(value for _, value in told)))
    names = [*keys, EVENT_TIME, *(f"v{n}" for n in range(len(views)))]
    rows = list(zip(*(got[name].to_pylist() for name in names), strict=True)) if got.num_rows else []
    assert rows == wanted
    by_number = {str(n): (*key, T0 + minute * MINUTE) for n, (key, minute) in enumerate(labels)}
    assert [by_number[text] for text in got["label"].to_pylist()] == [row[: width + 1] for row in rows]


@settings(max_examples=150)
@given(world=worlds(), cuts=st.sets(st.integers(0, 24), max_size=5), shuffle=st.randoms())
def test_a_table_in_parts_is_joined_as_a_whole(world: Any, cuts: set[int], shuffle: Any) -> None:
    labels, [(rows, age), *_] = list(world[0]), world[1]
    if not labels:
        return
    width = len(labels[0][0])
    keys = [f"k{n}" for n in range(width)]
    order = [(name, "ascending") for name in (*keys, EVENT_TIME)]
    table = view_table(rows, "v", width, shuffle).sort_by([*order, (INGESTED_AT, "ascending")])
    firsts = table["k0"].to_pylist()
    # Parts end where the first key changes, as those of a scan do.
    bounds = [
        0,
        *(n for n in sorted(cuts) if 0 < n < len(firsts) and firsts[n] != firsts[n - 1]),
        len(firsts),
    ]
    parts = [table.slice(a, b - a).combine_chunks() for a, b in pairwise(bounds)]
    sought = asof.Labels.of(label_table(labels, width).sort_by(order), keys)
    max_age = None if age is None else age * MINUTE
    schema = pa.schema([("v", pa.float64())])
    with ThreadPoolExecutor(2) as pool:
        whole = asof.look_up_features(sought, [table.combine_chunks()], keys, schema, AS_OF, max_age, pool)
        divided = asof.look_up_features(sought, parts, keys, schema, AS_OF, max_age, pool)
    assert whole[0]["v"].to_pylist() == divided[0]["v"].to_pylist()
    np.testing.assert_array_equal(whole[1], divided[1])


@settings(max_examples=100)
@given(rows=histories(pair_keys), chosen=st.integers(0, 7), shuffle=st.randoms())
def test_of_several_versions_the_last_chosen_counts(rows: Any, chosen: int, shuffle: Any) -> None:
    order = [(name, "ascending") for name in ("k0", "k1", EVENT_TIME, INGESTED_AT)]
    table = view_table(rows[0], "v", 2, shuffle).sort_by(order)
    known = np.array([at <= T0 + chosen * MINUTE for at in table[INGESTED_AT].to_pylist()], dtype=bool)
    kept = table.take(pa.array(asof.find_last_versions(table, ["k0", "k1"], known)))
    newest: dict[Any, int] = {}
    for key, event, ingested in rows[0]:
        if ingested <= chosen:
            newest[key, event] = max(ingested, newest.get((key, event), 0))
    assert kept.num_rows == len(newest)
    for one, two, event, ingested in zip(*(kept[n].to_pylist() for n, _ in order), strict=True):
        assert T0 + newest[(one, two), int((event - T0) / MINUTE)] * MINUTE == ingested


def test_texts_longer_than_one_arrow_array_holds_stay_whole() -> None:
    wide = pa.chunked_array([pa.array(["a"], pa.string()), pa.array(["b"], pa.large_string()).cast("string")])
    chunks = asof._build_chunked_array([pa.array(["a"]), pa.array(["b"], pa.large_string())], pa.string())
    assert chunks.type == pa.large_string()
    assert chunks.to_pylist() == wide.to_pylist()
