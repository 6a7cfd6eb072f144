"""Rows of the past as arrays, in memory and mapped from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evergreen.backtest.past.rows import build_rows, load_rows
from evergreen.usecase import UseCase
from support.shop_past import BASKET, SHOP, build_history, build_requests, day


@pytest.mark.parametrize("use_case", [SHOP, BASKET], ids=["classes", "numbers"])
def test_rows_are_those_of_the_history(use_case: UseCase) -> None:
    history = build_history(use_case, 10)
    rows = build_rows(use_case, history)
    places = rows.select_known(day(6), day(1), day(3))
    assert len(places) == 48
    expected = history.table.take(places.tolist())
    inputs = rows.take_inputs(places)
    assert inputs["kind"].tolist() == expected["kind"].to_pylist()
    assert None in inputs["kind"].tolist()
    assert inputs["spend"].tolist() == expected["spend"].to_pylist()
    assert inputs["double_spend"].tolist() == [2 * spend for spend in expected["spend"].to_pylist()]
    assert rows.take_labels(places).tolist() == expected[use_case.label.name].to_pylist()
    frame = rows.take_frame(places)
    assert frame["event_time"].tolist() == expected["event_time"].to_pylist()
    assert frame["visit"].tolist() == expected["visit"].to_pylist()


def test_the_rows_of_a_moment_are_the_training_set_of_the_history() -> None:
    history = build_history(SHOP, 10)
    rows = build_rows(SHOP, history)
    for number in (0, 1.9, 2, 5.5, 12, 40):
        assert rows.select_known(day(number)).tolist() == history.select_known(day(number)).tolist()
        since = history.select_known(day(number), day(3)).tolist()
        assert rows.select_known(day(number), day(3)).tolist() == since


def test_saved_rows_are_the_same(tmp_path: Path) -> None:
    rows = build_requests(SHOP, 5).rows
    rows.save(tmp_path / "rows")
    loaded = load_rows(SHOP, tmp_path / "rows")
    places = np.arange(len(rows))
    assert isinstance(loaded.arrays["spend"], np.memmap)
    assert loaded.take_frame(places).equals(rows.take_frame(places))
    assert loaded.content.tolist() == rows.content.tolist()
    for name, values in rows.take_inputs(places).items():
        assert loaded.take_inputs(places)[name].tolist() == values.tolist()


def test_rows_have_one_hash_where_a_model_would_learn_the_same() -> None:
    rows, again = build_requests(SHOP, 5).rows, build_requests(SHOP, 8, lag_days=1).rows
    # Of the same draw only the first value of each column is the same.
    assert rows.content.tolist() == build_requests(SHOP, 5, lag_days=2).rows.content.tolist()
    assert rows.content[5] != again.content[5]
    assert len(set(rows.content.tolist())) == len(rows)
