"""No text of a CSV runs as a formula in a spreadsheet, and no number is changed."""

from __future__ import annotations

import pandas as pd
import pytest

from evergreen.scoring.spreadsheet import escape_formula, escape_formulas


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("x")',
        "+1+1",
        "-1+1|cmd",
        "-",
        "--5",
        "@SUM(A1)",
        "\tx",
        "\r=1",
        "\n=1",
        "＝1",
        "-5\n",
    ],
)
def test_what_would_be_a_formula_is_text(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-5", "+3.25", "-.5e-3", "", "a=b", "'=1", " =1", -5, -0.5, None, True])
def test_numbers_and_plain_texts_stay(value: object) -> None:
    assert escape_formula(value) == value


def test_texts_of_every_kind_of_column_are_escaped_and_numbers_are_not() -> None:
    frame = pd.DataFrame(
        {
            "amount": [-1.5, 2.0, None],
            "count": pd.array([-1, None, 3], dtype="Int64"),
            "plain": ["=1", "b", None],
            "objects": pd.Series(["=1", None, -4], dtype=object),
            "kinds": pd.Categorical(["=1", "b", "b"]),
        }
    )
    escaped = escape_formulas(frame.set_axis(["amount", "count", "=plain", "objects", "objects"], axis=1))
    assert list(escaped.columns) == ["amount", "count", "'=plain", "objects", "objects"]
    lines = escaped.to_csv(index=False).splitlines()
    assert lines == ["amount,count,'=plain,objects,objects", "-1.5,-1,'=1,'=1,'=1", "2.0,,b,,b", ",3,,-4,b"]
    assert frame["plain"][0] == "=1", "the frame itself is as it was"
