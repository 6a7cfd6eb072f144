"""The document of a check: what goes in comes out again, bounded, and says since when."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.monitoring.report.read import group_hours
from evergreen.monitoring.report.time_line import (
    PeriodCounts,
    compute_time_lines,
    find_run_start,
    follow_reports,
)
from evergreen.store.predictions.counts import HOUR, HourlyCounts
from support.check_documents import (
    AS_OF,
    DAY,
    USE_CASE,
    build_drift_report,
    build_names,
    build_numbers,
    build_records,
    build_report,
)


def test_a_document_is_read_as_it_was_written() -> None:
    report = build_report()
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert CheckReport.from_json(document) == report
    assert CheckReport.from_json({**document, "a_field_of_tomorrow": 1}) == report


def test_a_document_of_a_check_without_anything_else_is_read_too() -> None:
    report = build_check_report(CheckRecords(USE_CASE, replace(build_drift_report(), quality=None)))
    assert CheckReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    needed = "check use_case title problem as_of model_version window_start window_end rows severity reason"
    least = {name: report.to_json()[name] for name in needed.split()}
    assert CheckReport.from_json(least).features == ()


def test_numbers_that_are_not_finite_are_null() -> None:
    feature = replace(build_numbers(), psi=math.inf, chance=math.nan)
    document = build_report(feature).to_json()
    assert (document["features"][0]["psi"], document["features"][0]["chance"]) == (None, None)
    json.dumps(document, allow_nan=False)


def test_the_overview_says_what_drifted_and_since_when() -> None:
    report = build_report()
    assert [feature.feature for feature in report.features] == ["visits", "mood"]
    visits, mood = report.features
    assert (visits.kind, visits.edges, visits.since) == ("numeric", (2.0, 5.0), AS_OF - 10 * DAY)
    assert report.since == AS_OF - 10 * DAY
    known = replace(build_drift_report(build_numbers()), since=AS_OF - 9 * DAY)
    assert build_check_report(replace(build_records(), report=known)).since == AS_OF - 9 * DAY
    assert len(visits.timeline) == len(report.periods) == 31
    assert (mood.kind, mood.edges, mood.since) == ("category", (), None)
    assert mood.missing == (0.166667, 0.166667)
    assert mood.unseen == (0.166667, 0.166667)
    assert [check.as_of for check in report.checks] == [AS_OF - DAY, AS_OF]
    assert [check.retrain for check in report.checks] == [None, True]


def test_drift_of_hundred_thousand_names_keeps_the_most_frequent() -> None:
    names = tuple(f"name {n}" for n in range(100_000))
    counts = tuple(10_000 if n in (7, 99_999) else 1 for n in range(100_000))
    part = build_report(build_names("city", names, counts=counts)).features[0]
    assert len(part.bins) == 42
    assert {"name 7", "name 99999"} <= set(part.bins)
    assert sum(part.current) == sum(counts) + 10
    assert part.current[part.bins.index("name 7")] == 10_000


def test_without_counts_the_time_line_is_that_of_the_checks() -> None:
    former = [
        build_drift_report(replace(build_numbers(), drifted=n >= 3, psi=n / 10), as_of=AS_OF - (5 - n) * DAY)
        for n in range(5)
    ]
    records = replace(build_records(build_numbers()), counts=None, former=former)
    report = build_check_report(records)
    assert report.periods[0] == (AS_OF - 5 * DAY).replace(hour=0)
    assert report.features[0].timeline == (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
    assert report.since == former[3].window_start


def test_checks_of_another_version_are_another_time_line() -> None:
    former = [replace(build_drift_report(build_numbers(), as_of=AS_OF - DAY), model_version=2)]
    report = build_check_report(replace(build_records(), counts=None, former=former))
    assert len(report.periods) == 1
    assert len(report.checks) == 2


def test_days_of_few_rows_say_nothing_and_do_not_interrupt() -> None:
    starts = tuple(AS_OF - (4 - n) * DAY for n in range(4))
    table = np.array([[400, 400], [100, 900], [1, 9], [100, 900]], dtype=np.int64)
    counts = PeriodCounts(starts, DAY, (800, 1000, 10, 1000), {"x": table, "unknown": table})
    lines = compute_time_lines(counts, {"x": (500, 500)}, {"x": 0.05})
    assert lines.values["x"][0] == pytest.approx(0.0, abs=1e-4)
    assert lines.values["x"][2] is None
    assert lines.since == {"x": starts[1]}
    assert set(lines.values) == {"x"}


def test_counts_by_other_bins_than_the_references_are_left_out() -> None:
    counts = PeriodCounts((AS_OF,), DAY, (200,), {"x": np.array([[100, 100]])})
    assert compute_time_lines(counts, {"x": (1, 2, 3)}, {"x": 0.05}).values == {}


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=40))
def test_a_run_begins_after_the_last_stretch_that_did_not_drift(drifting: list[bool | None]) -> None:
    starts = [AS_OF + n * DAY for n in range(len(drifting))]
    start = find_run_start(starts, drifting)
    spoken = [each for each in drifting if each is not None]
    assert (start is None) == (not spoken or not spoken[-1])
    if start is not None:
        place = starts.index(start)
        assert drifting[place]
        assert False not in drifting[place:]
        before = [each for each in drifting[:place] if each is not None]
        assert not before or before[-1] is False


def test_checks_that_look_at_the_same_predictions_count_them_once() -> None:
    report = build_drift_report()
    checks = [replace(report, as_of=report.as_of + n * HOUR, row_count=100 + n) for n in range(4)]
    lines = follow_reports([replace(report, as_of=report.as_of - DAY, row_count=90), *checks])
    assert lines.rows == (90, 103)


def test_no_reports_are_no_time_line() -> None:
    assert follow_reports([]).starts == ()


@pytest.mark.parametrize(("hours", "stretches", "length"), [(30, 31, HOUR), (24 * 10, 11, DAY)])
def test_hours_are_added_up_without_losing_a_row(hours: int, stretches: int, length: timedelta) -> None:
    end = AS_OF + timedelta(minutes=20)
    moments = tuple(AS_OF - timedelta(hours=n) for n in reversed(range(hours + 1)))
    bins = np.arange(2 * len(moments), dtype=np.int64).reshape(len(moments), 2)
    hourly = HourlyCounts(moments, bins.sum(axis=1), bins.sum(axis=1), {"": {"x": bins}})
    counts = group_hours(hourly, end)
    assert counts is not None
    assert (len(counts.starts), counts.length) == (stretches, length)
    assert counts.starts[0] <= moments[0]
    assert counts.starts[-1] + length >= end
    assert counts.counts["x"].sum(axis=0).tolist() == bins.sum(axis=0).tolist()
    assert sum(counts.rows) == bins.sum()


def test_no_counts_are_none() -> None:
    assert group_hours(HourlyCounts(), AS_OF) is None


def test_quality_is_told_with_its_interval_its_estimate_and_its_slices() -> None:
    report = build_report()
    quality = report.quality
    assert quality is not None
    assert (quality.metric, quality.value, quality.rows) == ("accuracy", 0.75, 40)
    assert quality.low is not None
    assert quality.low < 0.75 < (quality.high or 0.0)
    assert (quality.estimate, quality.holdout, quality.trusted) == (0.81, 0.82, True)
    assert len(quality.realised) == len(quality.estimated) == 20
    assert {point.version for point in quality.realised} == {2, 3}
    # Of v3's answers alone: nine days of 1,000 outcomes.
    assert [(part.name, part.outcomes) for part in report.slices] == [
        ("age=25 to 40", 9_000),
        ("age=under 25", 9_000),
    ]
    assert report.slices[0].value == pytest.approx(0.8)
    assert report.slices[1].severity == "unknown"
