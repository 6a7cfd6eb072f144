"""The service's own metrics: what they show of the model in service, and that the docs have all of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.serving.models.refusals import Refusal
from evergreen.serving.models.slot import ServedModel
from evergreen.serving.runtime import Runtime
from evergreen.settings import Settings
from support.answering import fit
from support.parcel_case import declare

DOCS = Path(__file__).resolve().parents[4] / "docs" / "serving.md"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def runtime(tmp_path: Path, registry: CollectorRegistry) -> Runtime:
    settings = Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))
    return Runtime(settings, declare(settings), registry)


def test_a_cached_model_shows_until_the_champion_takes_over(
    runtime: Runtime, registry: CollectorRegistry
) -> None:
    def read(name: str) -> float | None:
        return registry.get_sample_value(name, {"use_case": "parcel"})

    model = fit(runtime.use_case)
    assert read("evergreen_model_cached") == 0
    runtime._handle_swap(ServedModel(model, None, NOW, verified_at=NOW))
    assert read("evergreen_model_cached") == read("evergreen_model_version") == 1
    runtime._handle_swap(ServedModel(model, None, NOW))
    assert read("evergreen_model_cached") == 0
    assert read("evergreen_model_swaps_total") == 2


def test_refused_versions_are_counted_once_for_each_reason(
    runtime: Runtime, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.refusals, "_record", lambda _: None)
    for reason in ("another file", "another file", "other answers"):
        runtime.refusals.report(Refusal(3, "run", reason, NOW))
    assert registry.get_sample_value("evergreen_models_refused_total", {"use_case": "parcel"}) == 2


def test_the_docs_have_every_metric_and_no_other(runtime: Runtime, registry: CollectorRegistry) -> None:
    RequestMetrics("parcel", registry)
    suffixes = {"counter": "_total"}
    names = {f"{family.name}{suffixes.get(family.type, '')}" for family in registry.collect()}
    table = DOCS.read_text("utf-8").partition("| metric | labels |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(evergreen_\w+)`", table)) == names
