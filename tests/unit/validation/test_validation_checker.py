"""The contract applied to batch after batch: what loads, what is set aside, which rules rows break."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.errors import UseCaseError
from evergreen.usecase import Contract, Feature, FeatureView, Label, Rule, UseCase
from evergreen.validation.checker import Checker
from evergreen.validation.contract import validate_part
from evergreen.validation.report import Failure, Report
from support.toy_checks import TOY, checked, found, table, view

MAY = datetime(2026, 5, 1, tzinfo=UTC)


# --- batches ---------------------------------------------------------------------------------------------


def test_a_clean_batch_has_the_declared_types(raw: pd.DataFrame) -> None:
    clean, _, report = checked(view(), [raw])
    assert (report.ok, report.rows, report.kept, report.rejected) == (True, 100, 100, 0)
    assert {field.name: str(field.type) for field in clean.schema} == {
        "client_id": "int64",
        "event_time": "timestamp[us, tz=UTC]",
        "age": "int64",
        "visits": "int64",
        "spend": "double",
        "segment": "string",
        "mood": "string",
    }
    assert clean["client_id"].to_pylist() == [int(value) for value in raw["client_id"]]
    label, _, _ = checked(TOY.label, [raw])
    assert label.schema.names == ["client_id", "event_time", "leaves"]


damage = (
    st.sampled_from(
        [("age", "old"), ("age", "-1"), ("age", None), ("age", "3.5"), ("spend", "nan"), ("spend", "1e400")]
    )
    | st.sampled_from(
        [("segment", "moon"), ("segment", None), ("mood", "x" * 256), ("client_id", None), ("month", "soon")]
    )
    | st.sampled_from(
        [("leaves", None), ("leaves", "maybe"), ("visits", " 7 "), ("month", "2026-01-01T00:00:00+01:00")]
    )
)


@settings(max_examples=60)
@given(
    spoiled=st.lists(st.tuples(st.integers(0, 39), damage), max_size=8),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    part=st.sampled_from([view(), view(Contract(max_rejected_share=0.5)), TOY.label]),
)
def test_how_the_rows_are_cut_into_batches_makes_no_difference(
    spoiled: list[tuple[int, tuple[str, str | None]]], cuts: list[int], part: FeatureView | Label
) -> None:
    rows = pd.DataFrame(
        {
            "client_id": [str(n) for n in range(40)],
            "month": "2026-01-01",
            "age": "44",
            "visits": "3",
            "spend": "1.5",
            "segment": "web",
            "mood": "fine",
            "leaves": "no",
        },
        dtype=object,
    )
    for row, (column, value) in spoiled:
        rows.at[row, column] = value
    edges = [0, *sorted(cuts), 40]
    pieces = [rows.iloc[a:b] for a, b in pairwise(edges)]
    whole, at_once, one = checked(part, [rows])
    cut, in_pieces, many = checked(part, pieces)
    assert whole.to_pylist() == cut.to_pylist()
    assert sorted(at_once.take_rejected(), key=lambda r: r.row) == in_pieces.take_rejected()
    assert set(found(one)) == set(found(many))
    assert (one.rows, one.kept, one.rejected) == (many.rows, many.kept, many.rejected)
    # And the form in memory, from objects: the same again.
    frame, again = validate_part(TOY, part, rows)
    assert set(found(again)) == set(found(one))
    assert len(frame) == again.kept == one.kept


def test_no_batch_at_all_is_no_fault() -> None:
    assert checked(view(), [])[2] == Report("toy", "facts", 0, 0)


def test_a_column_that_only_later_batches_lack_is_missing_there(raw: pd.DataFrame) -> None:
    clean, _, report = checked(view(), [raw, raw.drop(columns="age"), raw.drop(columns="age")])
    assert len(clean) == 100
    assert found(report) == [("age", "the source has no such column", 200, "error")]


# --- severities and partial loads --------------------------------------------------------------------------


def test_a_features_warning_is_told_and_loads(raw: pd.DataFrame) -> None:
    raw.loc[0, "age"], raw.loc[1, "age"] = "130", None
    raw.loc[:, "mood"] = None
    lenient = view(age={"severity": "warning"}, mood={"severity": "warning", "max_null_share": 0.1})
    clean, _, report = checked(lenient, [raw])
    assert (report.ok, report.kept) == (True, 100)
    assert found(report) == [
        ("age", "has no value", 1, "warning"),
        ("age", "is more than 120", 1, "warning"),
        ("mood", "more than 10% have no value", 100, "warning"),
    ]
    assert clean["age"].to_pylist()[:2] == [130, None]
    raw.loc[0, "age"] = "old"  # another type never loads
    assert not checked(lenient, [raw])[2].ok


def test_rows_set_aside_say_why_and_what_they_held(raw: pd.DataFrame) -> None:
    raw.loc[3, ["age", "segment"]] = ["121", "moon"]
    raw.loc[60, "client_id"] = None
    part = view(Contract(max_rejected_share=0.02))
    checker = Checker(TOY, part)
    clean = checker.clean(table(raw[:50]))
    assert len(clean) == 49
    [first] = checker.take_rejected()
    assert (first.row, first.reasons) == (
        4,
        ("age is more than 120", "segment is not one of web, shop, phone"),
    )
    assert first.content == {name: raw.loc[3, name] for name in checker.sources}
    checker.clean(table(raw[50:]))
    [second] = checker.take_rejected()
    assert (second.row, second.reasons) == (61, ("client_id has no value",))
    assert second.content["client_id"] is None
    assert checker.take_rejected() == []
    report = checker.finish()
    assert (report.ok, report.rows, report.kept, report.rejected) == (True, 100, 98, 2)
    assert {f.severity for f in report.failures} == {"warning"}
    assert "98 kept, 2 rejected" in report.as_table()
    assert ("age", "is more than 120 (row set aside)", 1, "warning") in found(report)


def test_a_larger_share_of_bad_rows_loads_nothing(raw: pd.DataFrame) -> None:
    raw.loc[:5, "age"] = "old"
    _, _, report = checked(view(Contract(max_rejected_share=0.05)), [raw])
    assert (report.ok, report.kept, report.rejected) == (False, 0, 6)
    assert found(report) == [
        ("age", "is not a number", 6, "error"),
        ("(all rows)", "more than 5.0% of the rows break a check", 6, "error"),
    ]


def test_rows_not_yet_labelled_do_not_dilute_the_rejected(raw: pd.DataFrame) -> None:
    raw.loc[:89, "leaves"] = None
    raw.loc[90, "leaves"] = "maybe"  # 1 of 100 rows, but of 10 that are labelled
    label = replace(TOY.label, contract=Contract(max_rejected_share=0.05))
    assert not checked(label, [raw])[2].ok
    label = replace(TOY.label, contract=Contract(max_rejected_share=0.1))
    clean, checker, report = checked(label, [raw])
    assert (report.ok, len(clean), report.kept) == (True, 9, 9)
    assert [rejected.row for rejected in checker.take_rejected()] == [91]


def test_without_partial_loads_nothing_is_kept_for_quarantine(raw: pd.DataFrame) -> None:
    raw.loc[3, "age"] = "old"
    _, checker, report = checked(view(), [raw])
    assert checker.take_rejected() == []
    assert (report.ok, report.rejected) == (False, 1)


def test_what_the_caller_found_is_in_the_report(raw: pd.DataFrame) -> None:
    _, checker, _ = checked(view(), [raw])
    twice = Failure("client_id", "repeats another row exactly (left out)", 2, severity="warning")
    assert (checker.finish([twice], left_out=2).kept, checker.finish([twice]).ok) == (98, True)
    broken = checker.finish([replace(twice, severity="error")])
    assert (broken.ok, broken.kept, broken.failures[-1].count) == (False, 0, 2)


# --- rules -------------------------------------------------------------------------------------------------


def seldom_and_dear(visits: np.ndarray, spend: np.ndarray) -> np.ndarray:
    """A client who never came spent nothing."""
    assert visits.dtype == spend.dtype == np.float64
    return np.isnan(spend) | (visits > 0) | (spend == 0)


def known_mood(mood: np.ndarray, segment: np.ndarray) -> np.ndarray:
    assert all(value is None or type(value) is str for value in (*mood, *segment))
    return np.array([value is not None for value in mood])


def test_a_rule_across_columns(raw: pd.DataFrame) -> None:
    raw.loc[:, ["visits", "spend"]] = ["2", "9.5"]
    raw.loc[7, "visits"] = "0"
    raw.loc[8, ["visits", "spend"]] = ["0", None]
    raw.loc[9, ["visits", "spend"]] = ["never", "9.5"]
    raw.loc[10, "mood"] = None
    rules = (Rule(seldom_and_dear), Rule(known_mood, severity="warning"))
    _, checker, report = checked(view(Contract(rules=rules, max_rejected_share=1.0)), [raw])
    assert [(r.row, r.reasons) for r in checker.take_rejected()] == [
        (8, ("visits, spend breaks the rule seldom_and_dear: A client who never came spent nothing.",)),
        (10, ("visits is not a number",)),
    ]
    by_check = {f.check: f for f in report.failures}
    assert by_check["breaks the rule known_mood"].severity == "warning"
    [broken] = [f for f in report.failures if "seldom_and_dear" in f.check]
    assert broken.examples == ("visits=0, spend=9.5",)
    assert report.kept == 98


@pytest.mark.parametrize(
    "body",
    [
        lambda age: 1 / 0,
        lambda age: sys.exit(1),
        lambda age: True,
        lambda age: age,
        lambda age: age[:-1] > 0,
    ],
)
def test_a_rule_that_does_not_answer_is_a_fault_of_the_declaration(
    raw: pd.DataFrame, body: Callable[..., Any]
) -> None:
    body.__name__ = "grown_up"
    with pytest.raises(UseCaseError, match="grown_up"):
        checked(view(Contract(rules=(Rule(body),))), [raw])


def test_a_text_key_is_at_most_as_long_as_its_column() -> None:
    from evergreen.usecase import Entity, FileSource, Key

    source = FileSource("x.csv")
    use_case = UseCase(
        name="other",
        title="",
        meaning="",
        entity=Entity("thing", (Key("thing", "text", ""),)),
        views=(FeatureView("v", source, (Feature("size", "int", ""),), ""),),
        label=Label("price", source, ""),
    )
    checker = Checker(use_case, use_case.views[0])
    things = ["x" * 191, "ü" * 191, "x" * 192, " ", None]
    clean = checker.clean(pa.table({"thing": things, "size": ["1"] * 5}))
    assert clean["thing"].to_pylist() == things[:2]
    assert found(checker.finish()) == [
        ("thing", "has no value", 2, "error"),
        ("thing", "is longer than 191 characters", 1, "error"),
    ]
