"""The page of a check: it reads well, opens without a network, and whatever is in the document is escaped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.report.build import CheckRecords, build_check_report
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.feature_facts import FeatureFacts
from evergreen.pages.monitoring_parts.histogram import draw_histogram
from evergreen.pages.monitoring_report import render_monitoring_report
from support.check_documents import (
    AS_OF,
    USE_CASE,
    build_drift_report,
    build_names,
    build_numbers,
    build_records,
    build_report,
    rename,
)

SCRIPT = "<script>alert('x')</script>&\"'"
# Elements that have no end.
VOID = frozenset({"meta", "link", "br", "img"})


class Reader(HTMLParser):
    """Reads a page: its elements, its text outside the style sheet, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def read_page(document: object) -> Reader:
    """The page of a document, which needs neither script nor network."""
    page = render_monitoring_report(document)
    reader = Reader(page)
    assert not {"script", "iframe", "object", "embed", "img", "form"} & set(reader.names)
    assert not re.search(r"https?:|url\(|@import", page.replace("http://www.w3.org", ""))
    links = [value for name, value in reader.attributes if name in ("href", "src")]
    assert links == ["data:,"]
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    drawings = " ".join(value or "" for name, value in reader.attributes if name in ("d", "viewbox"))
    assert not re.search(r"nan|inf", drawings)
    return reader


def test_the_overview_comes_first_and_says_everything() -> None:
    reader = read_page(build_report().to_json())
    headings = reader.text.split()
    assert "h1" in reader.names
    for part in (
        "check of 2026-07-01 06:00 UTC",
        "1 of 2 features moved: visits, since  2026-06-21 (10 days) .",
        "Retrain",
        "Because of <drift>",
        ": 20.0% → 70.0%",
        "PSI (population stability index) says",
        "0.75",
        "estimated accuracy",
        "0.7900 to 0.8300, trusted",
        "age=25 to 40",
        "freshness of facts",
        "less_than_equal",
        "a reason to retrain",
        "json://here",
        "a note",
    ):
        assert part in reader.text, part
    order = [headings.index(word) for word in ("Overview", "Quality", "Slices", "Decision", "Origin")]
    assert order == sorted(order)


def test_every_chart_has_a_title_for_screen_readers_and_the_page_is_for_light_and_dark() -> None:
    document = build_report().to_json()
    page = render_monitoring_report(document)
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) >= 6
    assert all('role="img"' in chart and re.search(r'aria-label="[^"]+"', chart) for chart in charts)
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page
    # Every colour that a drawing uses for text has another one in the dark.
    fills = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', page))
    assert {fill for fill in fills if f'"{fill}"]' not in page} <= {"#e0a030"}


def test_no_predictions_give_a_page_that_says_so() -> None:
    report = build_check_report(CheckRecords(USE_CASE, replace(build_drift_report(rows=0), refused=())))
    reader = read_page(report.to_json())
    assert "No verdict" in reader.text
    assert "No verdict: 0 of 500 predictions." in reader.text
    assert "No feature could be compared." in reader.text
    assert "Not decided" in reader.text


def test_a_feature_without_a_reference_is_told_in_a_note() -> None:
    report = replace(build_drift_report(build_names()), notes=("mood2 has no reference: it is new",))
    reader = read_page(build_check_report(CheckRecords(USE_CASE, report)).to_json())
    assert "mood2 has no reference" in reader.text


def test_a_feature_whose_bins_do_not_fit_has_its_psi_and_no_histogram() -> None:
    feature = replace(build_numbers(), current=(1, 2))
    reader = read_page(build_report(feature).to_json())
    assert "Its values could not be compared by bins." in reader.text
    assert "PSI 0.6" in reader.text


def test_numbers_that_are_none_are_dashes() -> None:
    feature = replace(build_numbers(), psi=math.nan, chance=math.inf)
    document = build_report(feature).to_json()
    document["quality"]["value"] = "NaN"
    document["features"][0]["timeline"] = [None, "inf", 0.2, math.nan]
    document["quality"]["realised"][0]["value"] = math.inf
    assert "PSI –" in read_page(document).text


def test_of_hundred_thousand_categories_the_biggest_are_drawn() -> None:
    names = tuple(f"name {n}" for n in range(100_000))
    counts = tuple(5_000 if n == 77_777 else 1 for n in range(100_000))
    document = build_report(build_names("city", names, counts=counts)).to_json()
    page = render_monitoring_report(document)
    assert "name 77777" in page
    assert len(page) < 100_000
    # The page is bounded by itself, too.
    document["features"][0] |= {
        "bins": [*names, "(other)", "(missing)"],
        "reference": [1] * 100_002,
        "current": [*counts, 5, 5],
    }
    page = render_monitoring_report(document)
    assert "name 77777" in page
    assert len(page) < 100_000


@pytest.mark.parametrize("name", ["고객_등급 아주 좋음", "דירוג אשראי", "تصنيف العميل", "客户评级" * 40])
def test_names_of_any_script_are_shown(name: str) -> None:
    feature = build_names("mood", (name, "fine"), counts=(900, 10))
    reader = read_page(build_report(feature).to_json())
    assert name[:6] in reader.text
    assert "bdi" in reader.names


def test_names_with_markup_are_escaped_wherever_they_stand() -> None:
    document = build_report(
        rename(build_numbers(), SCRIPT), build_names("mood", (SCRIPT, "b"), counts=(9, 1))
    )
    poisoned = poison(document.to_json())
    reader = read_page(poisoned)
    assert SCRIPT in reader.text


def poison(value: Any) -> Any:
    """The document with markup in every text that is no moment and no name of a state."""
    if isinstance(value, dict):
        return {
            key: each if key in ("severity", "kind", "result", "bins") else poison(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [poison(each) for each in value]
    is_moment = isinstance(value, str) and re.match(r"\d{4}-", value)
    return SCRIPT if isinstance(value, str) and not is_moment else value


def test_a_page_of_200_features_and_a_month_stays_below_a_megabyte() -> None:
    edges = tuple(1_234.5 * n for n in range(1, 10))
    bins = ("<= 1234", *(f"({n}, {n + 1}]" for n in range(8)), "> 11000", "(missing)")
    features = [
        replace(
            build_numbers(f"feature_{n}"),
            bins=bins,
            reference=(1_000,) * 11,
            current=tuple(900 + 13 * n + k for k in range(11)),
        )
        for n in range(200)
    ]
    profile = FeatureProfile("x", "numeric", edges, (1_000,) * 11)
    records = build_records(*features)
    assert records.counts is not None
    table = records.counts.counts["visits"].repeat(3, axis=1)[:, :11]
    names = [feature.feature for feature in features]
    records = replace(
        records,
        profiles=dict.fromkeys(names, profile),
        counts=replace(records.counts, counts=dict.fromkeys(names, table)),
    )
    document = build_check_report(records).to_json()
    page = render_monitoring_report(document)
    assert page.count('class="card"') == 200
    assert all(feature["edges"] for feature in document["features"])
    assert len(page.encode()) < 1_000_000
    assert len(json.dumps(document)) < 500_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=5), each, max_size=4),
    max_leaves=8,
)
DOCUMENT: dict[str, Any] = build_report().to_json()


@given(field=st.sampled_from(sorted(DOCUMENT)), value=JSON)
def test_a_malformed_part_never_hinders_the_page(field: str, value: Any) -> None:
    read_page({**DOCUMENT, field: value})


@given(
    part=st.sampled_from(["features", "slices", "checks", "health", "alerts", "refused"]),
    data=st.data(),
    value=JSON,
)
def test_a_malformed_entry_never_hinders_the_page(part: str, data: st.DataObject, value: Any) -> None:
    name = data.draw(st.sampled_from(sorted(DOCUMENT[part][0])))
    read_page({**DOCUMENT, part: [{**DOCUMENT[part][0], name: value}, value]})


@pytest.mark.parametrize("limit", [-1, 5e-324, 1.7e308])
def test_a_limit_that_no_policy_has_is_not_drawn(limit: float) -> None:
    document = build_report().to_json()
    page = read_page({**document, "features": [{**document["features"][0], "limit": limit}]})
    assert "Drift over time" in page.text


def test_numbers_without_a_bin_for_missing_values_are_shown_by_the_names_of_their_bins() -> None:
    feature = replace(build_numbers(), bins=("low", "middle", "high", "highest"))
    assert "highest" in read_page(build_report(feature).to_json()).text


@pytest.mark.parametrize("document", [{}, None, [], "text", {"features": {}}, {"as_of": "yesterday"}])
def test_any_document_gives_a_page(document: object) -> None:
    assert "Overview" in read_page(document).text


def read_feature(build: Callable[[], Any]) -> FeatureFacts:
    document = build_report(build()).to_json()
    return FeatureFacts.from_json(JsonReader(document["features"][0]))


def test_histograms_tell_their_shares_to_screen_readers() -> None:
    drawing = draw_histogram(read_feature(build_numbers))
    assert drawing is not None
    assert drawing.label.startswith(
        "visits: shares of rows by value, reference against window. up to 2: 40.0%"
    )
    assert "above 5: 20.0%, now 70.0%" in drawing.label
    names = draw_histogram(read_feature(build_names))
    assert names is not None
    assert "missing: 16.7%, now 16.7%" in names.label


def test_the_time_of_the_page_is_that_of_the_check() -> None:
    first, second = (render_monitoring_report(build_report().to_json()) for _ in range(2))
    assert first == second
    assert f"{AS_OF:%Y-%m-%d}" in first
