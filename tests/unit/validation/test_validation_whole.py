"""What an ingest must keep as a whole: missing shares, uniqueness, freshness, the number of rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from evergreen.usecase import Contract, Freshness, RowCount
from evergreen.validation.report import Report
from support.toy_checks import checked, found, view

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def test_null_shares_are_those_of_all_batches(raw: pd.DataFrame) -> None:
    raw["mood"] = "fine"
    raw.loc[:29, "mood"] = None
    part = view(mood={"max_null_share": 0.3})
    assert checked(part, [raw[:30], raw[30:]])[2].ok  # 100 % of the first batch
    part = view(mood={"max_null_share": 0.1})
    assert found(checked(part, [raw[:30], raw[30:]])[2]) == [
        ("mood", "more than 10% have no value", 30, "error")
    ]


def test_unique_over_batches_and_not_within_one_identity(raw: pd.DataFrame) -> None:
    raw["mood"] = [f"mood {n}" for n in range(100)]
    part = view(mood={"unique": True})
    assert checked(part, [raw[:50], raw[50:]])[2].ok
    assert checked(part, [raw, raw[:3]])[2].ok  # repetitions, which the store leaves out
    raw.loc[70, "mood"] = "mood 2"
    _, _, report = checked(part, [raw[:50], raw[50:]])
    assert found(report) == [("mood", "is not unique", 2, "error")]
    assert report.failures[0].examples == ("mood 2",)
    _, _, report = checked(view(mood={"unique": True, "severity": "warning"}), [raw])
    assert (report.ok, report.kept) == (True, 100)


def test_freshness_heeds_the_newest_row_that_is_not_of_the_future(raw: pd.DataFrame) -> None:
    part = view(Contract(freshness=Freshness(timedelta(days=31))))
    raw["month"] = "2026-03-31"
    assert checked(part, [raw], as_of=MAY)[2].ok
    raw["month"] = "2026-03-01"
    raw.loc[5, "month"] = "2026-06-01"
    _, _, report = checked(part, [raw[:50], raw[50:]], as_of=MAY)
    assert (report.ok, report.kept) == (True, 100)  # a warning, unless said otherwise
    assert found(report) == [
        ("event_time", "the newest is 61 days, 0:00:00 old, and may be 31 days, 0:00:00", 100, "warning")
    ]
    assert report.failures[0].examples == ("2026-03-01 00:00:00+00:00",)
    assert checked(part, [raw])[2].failures == ()  # nobody said when
    strict = view(Contract(freshness=Freshness(timedelta(days=31), severity="error")))
    assert not checked(strict, [raw], as_of=MAY)[2].ok
    assert not checked(strict, [raw[:0]], as_of=MAY)[2].ok  # a source that brings nothing is not fresh


def test_the_row_count_against_the_usual_one(raw: pd.DataFrame) -> None:
    part = view(Contract(row_count=RowCount(least=0.5, most=2, severity="error")))
    for usual, ok in ((None, True), (50, True), (200, True), (49, False), (201, False)):
        assert checked(part, [raw], usual_rows=usual)[2].ok is ok, usual
    _, _, report = checked(view(Contract(row_count=RowCount())), [raw], usual_rows=1000)
    check = "100 rows came, of usually 1,000 (50% to 200% are expected)"
    assert found(report) == [("(all rows)", check, 100, "warning")]


def test_the_report_says_how_many_were_rejected_and_reads_those_of_before(raw: pd.DataFrame) -> None:
    raw.loc[3, "age"] = "old"
    _, _, report = checked(view(Contract(max_rejected_share=0.5)), [raw])
    told = json.loads(json.dumps(report.to_json()))
    assert Report.from_json(told) == report
    del told["rejected"]
    assert Report.from_json(told) == replace(report, rejected=0)
    told["failures"][0]["note"] = told["note"] = "what a later version may add"
    assert Report.from_json(told) == replace(report, rejected=0)
