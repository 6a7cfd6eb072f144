"""The page of a backtest: curves, retrainings, costs, decisions, and the policy that it would declare."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.pages.axis import build_number_axis
from evergreen.pages.backtest_page import render_backtest_page
from evergreen.pages.plot import Band, Curve, draw_plot
from evergreen.pages.time_axis import build_time_axis

START = datetime(2025, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EVIL = "<script>alert('x')</script>"


def build_policy(name: str, kind: str, retrains: int, **fields: Any) -> dict[str, Any]:
    moments = [(START + 7 * n * DAY).isoformat() for n in range(retrains)]
    decisions = [
        {
            "moment": (START + n * DAY).isoformat(),
            "retrain": n < retrains,
            "trigger": "drift" if n < retrains else "",
            "reason": "yes, because it drifted" if n < retrains else "no, because it did not",
            "window_days": 30.0 if n < retrains else None,
            "rows": 900 if n < retrains else None,
        }
        for n in range(52)
    ]
    return {
        "name": name,
        "title": name,
        "kind": kind,
        "declaration": "",
        "value": 0.8,
        "metrics": {"accuracy": 0.8},
        "gain": 0.5,
        "retrains": retrains,
        "fits": retrains,
        "cpu_seconds": 1.5 * retrains,
        "curve": [0.8 + n / 1000 if n % 9 else None for n in range(52)],
        "retrained_at": moments,
        "decisions": decisions,
        **fields,
    }


def build_document() -> dict[str, Any]:
    return {
        "use_case": "toy",
        "title": "A toy",
        "problem": "binary",
        "metric": "accuracy",
        "less_is_better": False,
        "start": START.isoformat(),
        "end": (START + 364 * DAY).isoformat(),
        "every_seconds": 86_400.0,
        "checks": 364,
        "clock": "event",
        "rows": 20_000,
        "first_rows": 900,
        "parameters": {"depth": 4},
        "parameters_source": "the declaration",
        "periods": [(START + 7 * n * DAY).isoformat() for n in range(52)],
        "period_rows": [100] * 52,
        "policies": [
            build_policy("declared policy", "declared", 3),
            build_policy("never", "never", 0, value=0.7, gain=0.0),
            build_policy("every 90 days", "fixed", 4, value=0.75, gain=0.6),
            build_policy("every 30 days", "fixed", 12, value=0.79, gain=0.9),
            build_policy("every check", "daily", 52, gain=1.0),
        ],
        "recommendation": {
            "policy": "declared policy",
            "declaration": "RetrainPolicy()",
            "reason": "it is best",
        },
        "fits": 20,
        "fits_shared": 51,
        "cpu_seconds": 30.0,
        "seconds": 12.0,
        "workers": 2,
        "data_digest": "ab",
        "declaration_digest": "cd",
        "notes": ["facts are monthly"],
    }


def test_the_page_tells_what_each_policy_would_have_brought() -> None:
    page = render_backtest_page(build_document())
    for part in (
        "from 2025-07-01 to 2026-06-30",
        "a check every day, 364 checks, 20,000 requests",
        "It is best.",
        "RetrainPolicy()",
        "would be declared",
        "+0.1000",
        "every check: 52 of 52 checks retrained",
        "declared policy: 3 of 52 checks retrained",
        "Of the fixed intervals only the best is drawn.",
        "facts are monthly",
        "78 s",
    ):
        assert part in page, part
    assert not re.search(r"<script|https?:|url\(", page.replace("http://www.w3.org", ""))
    chart = re.search(r'<svg class="plot"[^>]*aria-label="accuracy over time[^"]*"[^>]*>', page)
    assert chart is not None


def test_metrics_and_parameters_are_written_for_people() -> None:
    advice = {"policy": "never", "reason": "roc_auc 0.91 with 1 retrain; 'never' reached 0.71 (roc_auc 0.7)"}
    document = {
        **build_document(),
        "metric": "roc_auc",
        "parameters": {"depth": 5, "l2_leaf_reg": 3.1622776601683795},
        "recommendation": advice,
    }
    page = render_backtest_page(document)
    assert "ROC AUC 0.91 with 1 retrain; &#x27;never&#x27; reached 0.71 (ROC AUC 0.7)." in page
    assert "depth 5, l2_leaf_reg 3.162<" in page
    assert "roc_auc" not in page.lower()


def test_a_curve_is_not_drawn_through_a_gap() -> None:
    """Of 52 periods, two without a value are drawn through; four in succession are a gap."""
    document = build_document()
    lines = []
    for silent in (range(20, 22), range(20, 24)):
        curve = [None if n in silent else 0.8 + n / 1000 for n in range(52)]
        page = render_backtest_page(
            {**document, "policies": [build_policy("ours", "declared", 0, curve=curve)]}
        )
        lines.append(len(re.findall('stroke-linejoin="round"', page[page.index("Quality over time") :])))
        names = 2 + 1  # in the legends of the wide and the narrow drawing, and beside the wide one's marks
        assert page.count(">ours</text>") == names
    assert lines[1] > lines[0] > 0


@pytest.mark.parametrize("less_is_better", [False, True])
def test_the_best_fixed_interval_is_drawn_and_a_gain_only_where_there_is_one(less_is_better: bool) -> None:
    document = {**build_document(), "less_is_better": less_is_better}
    page = render_backtest_page(document)
    drawing = page[page.index("Quality over time") : page.index("Decisions")]
    assert (f">every {90 if less_is_better else 30} days<" in drawing) is True
    assert (f">every {30 if less_is_better else 90} days<" in drawing) is False
    # In units of an error, never retraining was the best of all.
    assert ("there is no gain to share" in page) is less_is_better
    assert ("90.0%" in page) is not less_is_better


def test_of_many_decisions_only_the_retrainings_are_shown() -> None:
    document = build_document()
    document["policies"] = [build_policy("declared policy", "declared", 3)]
    document["policies"][0]["decisions"] *= 20
    page = render_backtest_page(document)
    assert "1,040 decisions, of which the 60 that retrained are shown" in page
    assert len(page) < 300_000


def test_names_with_markup_are_escaped() -> None:
    document = build_document()
    document["policies"][0] |= {"title": EVIL, "declaration": EVIL}
    document["policies"][0]["decisions"][0] |= {"reason": EVIL, "trigger": EVIL}
    document |= {"title": EVIL, "metric": EVIL, "notes": [EVIL], "parameters": {EVIL: EVIL}}
    document["recommendation"] |= {"declaration": EVIL, "reason": EVIL}
    assert "<script" not in render_backtest_page(document)


@pytest.mark.parametrize(
    "document", [{}, {"policies": []}, {"policies": [{}]}, {"periods": ["x"]}, {**build_document(), "end": 1}]
)
def test_what_is_missing_is_said(document: dict[str, Any]) -> None:
    page = render_backtest_page(document)
    assert "There is no curve" in page


JSON = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(st.floats(), max_size=3)
DOCUMENT = build_document()


@given(name=st.sampled_from(sorted(DOCUMENT)), value=JSON)
def test_a_malformed_part_never_hinders_the_page(name: str, value: Any) -> None:
    page = render_backtest_page({**DOCUMENT, name: value})
    assert not re.search(r'(?:d|points)="[^"]*(?:nan|inf)', page)


@given(name=st.sampled_from(sorted(DOCUMENT["policies"][0])), value=JSON)
def test_a_malformed_policy_never_hinders_the_page(name: str, value: Any) -> None:
    policies = [{**DOCUMENT["policies"][0], name: value}, *DOCUMENT["policies"][1:]]
    render_backtest_page({**DOCUMENT, "policies": policies})


@given(
    days=st.integers(-12_000, 22_000),
    seconds=st.floats(0, 40 * 365 * 86_400),
)
def test_ticks_of_time_lie_inside_and_rise(days: int, seconds: float) -> None:
    start = START + days * DAY
    axis = build_time_axis(start, start + timedelta(seconds=seconds))
    places = [place for place, _ in axis.ticks]
    assert places == sorted(places)
    assert all(axis.low <= place <= axis.high for place in places)
    assert len(places) <= 16
    assert axis.high > axis.low


def test_ticks_are_days_and_months_of_utc() -> None:
    days = build_time_axis(START, START + 31 * DAY, about=9)
    assert [label for _, label in days.ticks][:2] == ["Jul 1", "Jul 8"]
    months = build_time_axis(START + 3 * DAY, START + 400 * DAY, about=9)
    labels = [label for _, label in months.ticks]
    assert labels[0] == "Sep 2025"
    assert "Jan 2026" in labels
    hours = build_time_axis(START, START + timedelta(hours=6))
    assert hours.ticks[1][1] == "01:00"


def test_a_band_is_an_area_behind_its_curve() -> None:
    x = build_number_axis([0.0, 2.0])
    points = [(0.0, 0.1, 0.3), (1.0, float("nan"), 0.4), (2.0, 0.2, 0.5)]
    drawing = draw_plot(x, x, [Curve("", [(0.0, 0.2)])], bands=[Band(points)])
    assert drawing.body.count('fill-opacity="0.18"') == 1
    assert "nan" not in drawing.body
    assert "fill-opacity" not in draw_plot(x, x, bands=[Band(points[:1])]).body
