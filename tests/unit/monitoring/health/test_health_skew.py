"""Logged vectors against what the store held then: the newest row of that moment, and computed features."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from evergreen.monitoring.health.skew import (
    SkewCount,
    count_on_demand_skew,
    count_stored_skew,
    judge_skew,
    list_prediction_keys,
)
from evergreen.store.history.held_rows import HeldRow, find_newest_held_row
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 12, tzinfo=UTC)
DAY = timedelta(days=1)
EVER = datetime(2038, 1, 1, tzinfo=UTC)
VALUES = {"age": 40, "visits": 5, "spend": 12.5, "segment": "web", "mood": None}


def held(
    values=None, *, event_time=NOW - 30 * DAY, ingested_at=NOW - 9 * DAY, since=NOW - 9 * DAY, until=EVER
):
    return HeldRow(event_time, ingested_at, since, until, {**VALUES, **(values or {})})


def log(*rows):
    """The prediction log with the given changes of a row that is what the store held."""
    base = {"client_id": 1, "predicted_at": NOW, "spend_per_visit": 2.5, **VALUES}
    frame = pd.DataFrame([{**base, **row} for row in rows])
    for name in ("age", "visits", "spend", "spend_per_visit"):
        frame[name] = frame[name].astype("float64")
    return frame


def count(frame, rows, view=USE_CASE.views[0]):
    keys = list_prediction_keys(USE_CASE, frame)
    return {c.feature: (c.compared, c.differing) for c in count_stored_skew(view, frame, keys, rows)}


def test_the_row_of_a_moment_is_the_newest_that_was_there():
    old, new = held(), held(event_time=NOW - 20 * DAY, since=NOW - 2 * DAY)
    corrected = held(event_time=NOW - 20 * DAY, ingested_at=NOW - DAY, since=NOW - DAY)
    rows = [new, corrected, old]
    assert find_newest_held_row(rows, NOW) is corrected
    assert find_newest_held_row(rows, NOW - DAY) is corrected
    assert find_newest_held_row(rows, NOW - 1.5 * DAY) is new
    assert find_newest_held_row(rows, NOW - 3 * DAY) is old
    assert find_newest_held_row(rows, NOW - 10 * DAY) is None
    assert find_newest_held_row([held(until=NOW)], NOW) is None


def test_equal_vectors_have_no_skew_and_missing_values_are_equal():
    counts = count(log({}, {"mood": np.nan}), {(1,): [held()]})
    assert counts == dict.fromkeys(VALUES, (2, 0))


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        ({"age": 41}, "age"),
        ({"age": np.nan}, "age"),
        ({"segment": "shop"}, "segment"),
        ({"segment": None}, "segment"),
        ({"mood": "fine"}, "mood"),
        ({"spend": 12.500001}, "spend"),
    ],
)
def test_a_value_that_differs_is_counted_for_its_feature(change, feature):
    counts = count(log({}, change), {(1,): [held()]})
    assert counts == {**dict.fromkeys(VALUES, (2, 0)), feature: (2, 1)}


def test_unknown_and_missing_keys_are_not_compared():
    frame = log({"client_id": 2}, {})
    frame["client_id"] = frame["client_id"].astype("Int64")
    frame.loc[0, "client_id"] = pd.NA
    assert count(frame, {(1,): [held()]})["age"] == (1, 0)
    assert count(log({"client_id": 2}), {(1,): [held()]})["age"] == (0, 0)


def test_features_beyond_their_age_are_missing_where_they_are_served():
    view = replace(USE_CASE.views[0], max_age=30 * DAY)
    assert count(log({}), {(1,): [held()]}, view)["age"] == (1, 0)
    older = {(1,): [held(event_time=NOW - 31 * DAY)]}
    assert count(log({}), older, view)["age"] == (1, 1)
    blank = dict.fromkeys(VALUES)
    assert count(log(blank), older, view)["age"] == (1, 0)


def test_computed_features_are_computed_again():
    frame = log({}, {"spend_per_visit": 3.0}, {"spend_per_visit": np.nan})
    [skew] = count_on_demand_skew(USE_CASE, frame)
    assert (skew.feature, skew.compared, skew.differing) == ("spend_per_visit", 2, 1)
    assert skew.example == "3 instead of 2.5"
    assert count_on_demand_skew(USE_CASE, frame.iloc[:0]) == []


def test_findings_name_what_is_beyond_the_limit_or_say_that_nothing_was_compared():
    many, few = SkewCount("age", 100, 2, "1 instead of 2"), SkewCount("spend", 100, 1, "x")
    [finding] = judge_skew([few, many], [SkewCount("ratio", 100, 0)], 100)
    assert (finding.subject, finding.severity, finding.value) == ("age", "warning", 0.02)
    [fine] = judge_skew([few], [], 100)
    assert (fine.severity, fine.value) == ("ok", 0.01)
    for counts, rows in (([SkewCount("age", 0, 0)], 7), ([], 0)):
        assert [each.severity for each in judge_skew(counts, [], rows)] == ["unknown"]
    [computed] = judge_skew([few], [SkewCount("ratio", 10, 5, "1 instead of 2")], 100)
    assert "what its function computes now" in computed.sentence
