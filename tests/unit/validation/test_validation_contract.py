"""The data contract: what passes, what is refused, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase
from evergreen.validation.contract import validate_part
from evergreen.validation.report import Report, build_failure


@pytest.fixture
def raw(toy_source: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """100 sound rows as a CSV would hold them: texts and missing values."""
    frame = toy_source(100)
    return frame.astype(object).map(lambda value: value if pd.isna(value) else str(value))


def facts(use_case: UseCase, raw: pd.DataFrame) -> tuple[pd.DataFrame, Report]:
    return validate_part(use_case, use_case.views[0], raw)


def only(report: Report) -> Any:
    assert len(report.failures) == 1, report.as_table()
    return report.failures[0]


def test_sound_texts_become_typed_columns(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw.loc[0, ["spend", "mood"]] = [None, "  "]
    frame, report = facts(toy_use_case, raw)
    assert report.ok
    assert (report.rows, report.kept, report.failures) == (100, 100, ())
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "client_id": "int64",
        "event_time": "datetime64[us, UTC]",
        "age": "float64",
        "visits": "float64",
        "spend": "float64",
        "segment": "object",
        "mood": "object",
    }
    assert frame["age"].tolist() == [float(value) for value in raw["age"]]
    assert np.isnan(frame["spend"][0])
    assert frame["mood"][0] is None


def test_label_rows_not_known_yet_are_left_out(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw.loc[3, "leaves"] = None
    frame, report = validate_part(toy_use_case, toy_use_case.label, raw)
    assert report.ok
    assert (len(frame), report.kept) == (99, 99)
    assert (only(report).severity, only(report).count) == ("warning", 1)
    assert list(frame.columns) == ["client_id", "event_time", "leaves"]


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("age", "old", "is not a number"),
        ("age", "3.5", "is not a whole number"),
        ("age", "-1", "is less than 0"),
        ("age", "121", "is more than 120"),
        ("age", None, "has no value"),
        ("age", "9007199254740994", "is 2^53 or more"),
        ("spend", "inf", "is infinite"),
        ("segment", "moon", "is not one of web, shop, phone"),
        ("mood", "x" * 256, "is longer than 255 characters"),
        ("client_id", None, "has no value"),
        ("client_id", "seven", "is not a number"),
        ("month", "03/04/2026", "is not an ISO 8601 time such as 2026-11-21"),
        ("month", None, "has no value"),
    ],
)
def test_one_wrong_value_is_refused_and_shown(
    toy_use_case: UseCase, raw: pd.DataFrame, column: str, value: str | None, check: str
) -> None:
    raw.loc[5, column] = value
    frame, report = facts(toy_use_case, raw)
    assert not report.ok
    assert frame.empty
    found = only(report)
    assert (found.column, found.check, found.count) == (column, check, 1)
    if value is not None:
        assert found.examples[0].removesuffix(".0")[:50] == value[:50] or value == "9007199254740994"


def test_a_label_of_no_class_is_refused(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw.loc[5, "leaves"] = "maybe"
    _, report = validate_part(toy_use_case, toy_use_case.label, raw)
    assert (only(report).check, only(report).examples) == ("is not one of no, yes", ("maybe",))


def test_a_missing_column_names_the_nearest(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    _, report = facts(toy_use_case, raw.rename(columns={"segment": "Segment", "month": "date"}))
    checks = {found.column: found.check for found in report.failures}
    assert checks["segment"].endswith("did you mean 'Segment'?")
    assert checks["month"] == "the source has no such column"


def test_exact_repetitions_are_left_out_differing_ones_refused(
    toy_use_case: UseCase, raw: pd.DataFrame
) -> None:
    repeated = pd.concat([raw, raw.iloc[[4, 4]]], ignore_index=True)
    frame, report = facts(toy_use_case, repeated)
    assert report.ok
    assert (len(frame), only(report).count, only(report).severity) == (100, 2, "warning")
    repeated.loc[100, "age"] = "33"
    _, report = facts(toy_use_case, repeated)
    found = report.errors[0]
    assert found.check == "stands in rows that differ (duplicate key)"
    assert found.examples == (f"{raw.loc[4, 'client_id']} 2026-05-01 00:00:00+00:00",)


def test_missing_values_may_exceed_their_share_by_chance_only(
    toy_use_case: UseCase, toy_source: Callable[..., pd.DataFrame]
) -> None:
    few, many = toy_source(10).astype(object), toy_source(2000).astype(object)
    few["segment"] = many["segment"] = "web"
    few.loc[:4, "segment"] = None  # 50 % of 10 where 20 % are usual happens: 3 standard deviations are 58 %
    assert facts(toy_use_case, few)[1].ok
    many.loc[:499, "segment"] = None  # 25 % of 2,000 does not: 3 standard deviations are 22.7 %
    found = only(facts(toy_use_case, many)[1])
    assert (found.check, found.count) == ("more than 20% have no value", 500)


def test_a_databases_types_are_understood(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw["age"] = [Decimal(value) for value in raw["age"]]
    raw["spend"] = [None if pd.isna(value) else Decimal(value) for value in raw["spend"]]
    raw["month"] = [pd.Timestamp(value).to_pydatetime() for value in raw["month"]]
    raw["client_id"] = raw["client_id"].astype(int)
    frame, report = facts(toy_use_case, raw.astype(object))
    assert report.ok, report.as_table()
    assert frame["age"].dtype == np.float64
    assert frame["event_time"].dt.month.tolist() == [value.month for value in raw["month"]]


def test_times_keep_their_moment(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw.loc[0, "month"] = "2026-01-01T02:00:00.000001+02:00"
    frame, report = facts(toy_use_case, raw)
    assert report.ok
    assert frame["event_time"][0] == pd.Timestamp("2026-01-01T00:00:00.000001Z")


def test_numbers_are_no_times(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw["month"] = 20260101
    _, report = facts(toy_use_case, raw)
    assert "is a number, not a time" in {found.check for found in report.failures}


def test_no_rows_are_no_fault(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    frame, report = facts(toy_use_case, raw.iloc[:0])
    assert report.ok
    assert str(frame.dtypes["client_id"]) == "int64"


def test_renaming_text_keys_and_timeless_rows() -> None:
    source = FileSource("x.csv")
    use_case = UseCase(
        name="other",
        title="Other",
        meaning="",
        entity=Entity("thing", (Key("thing", "text", "", column="Thing ID"),)),
        views=(FeatureView("v", source, (Feature("size", "float", "", column="SIZE"),), ""),),
        label=Label("price", source, "a regression"),
    )
    raw = pd.DataFrame({"Thing ID": [" a ", "b"], "SIZE": ["1e3", "2"], "price": ["1.5", "-2"]})
    frame, report = validate_part(use_case, use_case.views[0], raw)
    assert report.ok, report.as_table()
    assert frame["thing"].tolist() == ["a", "b"]
    assert frame["size"].tolist() == [1000.0, 2.0]
    assert frame["event_time"].eq(pd.Timestamp(0, tz="UTC")).all()
    label, report = validate_part(use_case, use_case.label, raw)
    assert label["price"].tolist() == [1.5, -2.0]
    raw["Thing ID"] = "x" * 192
    assert not validate_part(use_case, use_case.views[0], raw)[1].ok


def test_a_report_survives_json_and_stays_small(toy_use_case: UseCase, raw: pd.DataFrame) -> None:
    raw["age"] = [f"number {n}" + "x" * 1000 for n in range(100)]
    _, report = facts(toy_use_case, raw)
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    found = only(report)
    assert (found.count, len(found.examples)) == (100, 5)
    assert len(report.as_table()) < 1000


def test_a_report_of_many_failures_is_bounded() -> None:
    many = Report("u", "p", 1, 0, tuple(build_failure(f"c{n}", "is bad", n) for n in range(1, 300)))
    assert len(many.as_table().splitlines()) == 23
    assert "and 279 more" in many.as_table()
