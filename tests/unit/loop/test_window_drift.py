"""Which windows, slices and channels `evergreen drift` means, and how its result is arranged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from evergreen.cli.tables.drift_tables import render_window_drift
from evergreen.errors import SettingsError
from evergreen.loop.monitoring.window_drift import (
    FeatureFigures,
    SideFacts,
    SliceFigures,
    WindowDrift,
    WindowRequest,
    choose_bounds,
    measure_window_drift,
    parse_slice,
    reaches_severity,
)
from evergreen.settings import Settings
from evergreen.usecase import Slice
from support.toy_declaration import USE_CASE

NOW = datetime(2026, 7, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = USE_CASE.drift.window


def test_windows_follow_from_the_moments_that_are_given() -> None:
    bounds = choose_bounds(USE_CASE, WindowRequest(), NOW)
    assert (bounds.window, bounds.against) == ((NOW - WINDOW, NOW), None)
    bounds = choose_bounds(USE_CASE, WindowRequest(start=NOW - 3 * DAY, end=NOW - DAY), NOW)
    assert bounds.window == (NOW - 3 * DAY, NOW - DAY)
    one_moment = WindowRequest(start=NOW - 3 * DAY, end=NOW - DAY, against_start=NOW - 9 * DAY)
    assert choose_bounds(USE_CASE, one_moment, NOW).against == (NOW - 9 * DAY, NOW - 3 * DAY)
    one_moment = WindowRequest(start=NOW - 3 * DAY, end=NOW - DAY, against_end=NOW - 7 * DAY)
    assert choose_bounds(USE_CASE, one_moment, NOW).against == (NOW - 9 * DAY, NOW - 7 * DAY)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (WindowRequest(start=NOW, end=NOW - DAY), "which is not later"),
        (WindowRequest(end=NOW + DAY), "is in the future"),
        (WindowRequest(against_start=NOW + 365 * DAY), "is in the future"),
        (WindowRequest(start=NOW - DAY, against_start=NOW), "which is not later"),
        (WindowRequest(against_start=NOW - DAY, against_end=NOW - DAY), "which is not later"),
    ],
)
def test_windows_that_are_none_are_refused(request_: WindowRequest, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        choose_bounds(USE_CASE, request_, NOW)


def test_a_slice_is_a_feature_with_or_without_edges() -> None:
    assert parse_slice(USE_CASE, "mood") == Slice("mood")
    assert parse_slice(USE_CASE, "age=40,25") == Slice("age", (25.0, 40.0))
    declared = replace(USE_CASE, slices=(Slice("age", (30.0,)),))
    assert parse_slice(declared, "age") == Slice("age", (30.0,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agee", "did you mean 'age'"),
        ("age=young", "--slice age=10,100"),
        ("age=nan", "--slice age=10,100"),
        ("mood=1", "--slice mood"),
    ],
)
def test_a_slice_that_is_none_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_slice(USE_CASE, text)
    assert words in refused.value.hint


def test_an_unknown_channel_is_refused(toy_settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no channel 'onlin'"):
        measure_window_drift(toy_settings, "toy", WindowRequest(channels=("onlin",)))


def test_severities_are_ordered() -> None:
    assert reaches_severity("drift", "warning")
    assert reaches_severity("warning", "unknown")
    assert not reaches_severity("unknown", "warning")
    assert not reaches_severity("none", "unknown")


def test_a_result_is_shown_with_the_worst_first_and_without_markup() -> None:
    figures = FeatureFigures("income", "drift", 0.3, 0.2, 1e-30, 0.001, 0.05, None)
    drift = WindowDrift(
        use_case="toy",
        severity="drift",
        drifted=True,
        reason="1 of 2 features drifted",
        window=SideFacts(3, NOW - DAY, NOW, 12_000),
        reference=SideFacts(3, None, None, 20_000),
        channels=("online",),
        since=NOW - DAY / 2,
        features=(figures, replace(figures, feature="__prediction__", severity="none", unseen_share=0.0)),
        slices=(SliceFigures("mood=[red]", "warning", 700, 0, (figures, figures)),),
        warnings=("mood=[red]: income (PSI 0.30)",),
        notes=tuple(f"note {number}" for number in range(20)),
    )
    console = Console(width=160)
    with console.capture() as capture:
        console.print(render_window_drift(drift))
    text = capture.get()
    for words in (
        "the reference profile of version 3 (20,000 training rows)",
        "12,000 predictions of version 3, 2026-07-19 12:00 to 2026-07-20 12:00 UTC",
        "< 1e-16",
        "+5.0%",
        "the predictions",
        "mood=[red]",
        "income and 1 more",
        "and 9 more: --json has all",
        "evergreen run monitor toy",
    ):
        assert words in text
    assert drift.to_json()["since"] == "2026-07-20T00:00:00+00:00"
