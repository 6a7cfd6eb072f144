"""Pages: everything is escaped, numbers read well, charts stay inside their frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.pages.axis import build_number_axis
from evergreen.pages.charts import render_bar, render_dot, render_legend, render_stacked_bar
from evergreen.pages.numbers import (
    choose_tick_decimals,
    compute_ticks,
    format_bytes,
    format_difference,
    format_moment,
    format_number,
    format_percent,
    format_value,
    shorten_text,
)
from evergreen.pages.page import (
    Html,
    Section,
    render_details,
    render_facts,
    render_note,
    render_page,
    render_table,
)
from evergreen.pages.plot import Curve, draw_plot

EVIL = "<b>&\"'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (60_000, "60,000"),
        (0.83124, "0.8312"),
        (0.5, "0.5"),
        (1234.56, "1,235"),
        (-0.00031234, "-0.000312"),
        (0.0, "0"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (None, "–"),
        (3e20, "3e+20"),
    ],
)
def test_numbers_have_three_or_four_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_shares_sizes_signs_and_moments() -> None:
    assert [format_percent(value) for value in (0, -0.0, 0.0001, 0.125, 1, None)] == [
        "0%",
        "0%",
        "<0.1%",
        "12.5%",
        "100%",
        "–",
    ]
    assert [format_bytes(value) for value in (12, 812_345, 2.5e9)] == ["12 bytes", "812 kB", "2.5 GB"]
    assert (format_difference(0.0067, 4), format_difference(-3), format_number(-0.00001, 2)) == (
        "+0.0067",
        "-3",
        "0.00",
    )
    assert format_moment("2026-09-01T02:00:00+02:00") == "2026-09-01 00:00 UTC"
    assert format_moment("one day") == "one day"
    assert [format_value(value) for value in (True, None, 0.25, [1, 2.5], "x")] == [
        "yes",
        "–",
        "0.25",
        "1, 2.5",
        "x",
    ]
    assert shorten_text("a \n b" + "c" * 99, 6) == "a bcc…"


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_lie_between_the_ends_and_are_told_apart(low: float, span: float) -> None:
    found = compute_ticks(low, low + span)
    slack = 1e-6 * (abs(low) + span)
    assert 2 <= len(found) <= 12
    assert all(low - slack <= mark <= low + span + slack for mark in found)
    assert len({format_number(mark, choose_tick_decimals(found)) for mark in found}) == len(found)


def test_whatever_is_shown_is_escaped() -> None:
    body = (
        render_table((EVIL,), [(EVIL,), (Html("<i>x</i>"),), (None,)])
        + render_note(EVIL)
        + render_details(EVIL, "")
    )
    body += (
        render_facts({EVIL: EVIL, "absent": None}) + render_legend([EVIL]) + render_stacked_bar({EVIL: 1.0})
    )
    axis = build_number_axis([0.0, 1.0], EVIL)
    body += draw_plot(axis, axis, [Curve(EVIL, [(0.0, 1.0)])]).to_html()
    text = render_page(EVIL, [EVIL], [Section(EVIL, body)], style="p{}", links=False)
    assert "<b>" not in text
    assert "<i>x</i>" in text
    assert "absent" not in text
    assert "<nav>" not in text
    assert "<td>–</td>" in text


def test_an_anchor_holds_no_markup() -> None:
    assert Section('Every "column"?', "").anchor == "every-column"


def test_bars_and_dots_stay_inside() -> None:
    assert "width:100.0%" in render_bar(7.0)
    assert "left:50.00%" in render_dot(5.0, (0.0, 10.0))
    assert "▸" in render_dot(11.0, (0.0, 10.0))
    assert "◂" in render_dot(-1.0, (0.0, 10.0), interval=(-2.0, 3.0))
    assert 'class="dot"' in render_dot(5.0, (5.0, 5.0))
