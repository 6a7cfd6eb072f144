"""Grafana's files: whole, on data sources and metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from evergreen.exporter.families import FAMILIES
from evergreen.stack.deploy import facts
from support.dashboards import DASHBOARDS, GRAFANA, fill_promql, list_queries
from support.published_metrics import PROMETHEUS, ROOT, find_metric_names, list_published_metrics

RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules/evergreen.yml").read_text("utf-8"))
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
PROMQL = [query for query in list_queries() if query.form == "promql"]
SOURCES = yaml.safe_load((GRAFANA / "provisioning/datasources/evergreen.yml").read_text("utf-8"))


def list_panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_there_is_one_for_each_subject() -> None:
    assert set(DASHBOARDS) == {"loop", "serving", "prediction-log", "drift"}
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_panels_have_ids_places_and_words(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in own) < 24
        assert not own & cells, panel["title"]
        cells |= own
    for panel in list_panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_it_is_about_the_chosen_use_case(dashboard: dict[str, Any]) -> None:
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["use_case"]
    # What is about no use case says so here.
    common = {"Airflow", "Exporter", "Alerts of Prometheus"}
    for panel in list_panels(dashboard):
        for target in panel["targets"]:
            text = target.get("rawSql") or target["expr"]
            assert "use_case" in text or panel["title"] in common, panel["title"]


def test_the_data_sources_are_those_that_are_provisioned() -> None:
    provisioned = {(source["type"], source["uid"]) for source in SOURCES["datasources"]}
    used = {
        (each["datasource"]["type"], each["datasource"]["uid"])
        for dashboard in DASHBOARDS.values()
        for panel in list_panels(dashboard)
        for each in (panel, *panel["targets"])
    }
    assert used == provisioned


def test_the_data_sources_are_where_the_containers_are() -> None:
    sources = {source["type"]: source for source in SOURCES["datasources"]}
    assert sources["mysql"]["url"] == f"{facts.MARIADB.name}:{facts.MARIADB.port}"
    assert sources["mysql"]["jsonData"]["database"] == facts.DATABASE
    # No right but SELECT, and no password in the repository.
    assert sources["mysql"]["user"] == "grafana"
    assert re.fullmatch(r"\$\{\w+\}", sources["mysql"]["secureJsonData"]["password"])


@pytest.mark.parametrize("query", PROMQL, ids=lambda query: query.place)
def test_its_metrics_are_published(query: Any) -> None:
    names = find_metric_names(fill_promql(query.text))
    if "ALERTS{" not in query.text:
        assert names
    assert names <= list_published_metrics() | RECORDED | PROMETHEUS


@pytest.mark.parametrize("query", PROMQL, ids=lambda query: query.place)
def test_its_labels_are_those_of_the_exporters_metrics(query: Any) -> None:
    # Prometheus knows no schema: a label that a metric does not have selects nothing, without an error.
    for name, matchers in re.findall(r"\b(evergreen_\w+)\{([^}]*)\}", fill_promql(query.text)):
        if name in FAMILIES:
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)) <= set(FAMILIES[name].labels)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
def test_promtool_parses_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": fill_promql(query.text)} for number, query in enumerate(PROMQL)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), "utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_changes_are_made_in_the_files() -> None:
    path = GRAFANA / "provisioning/dashboards/evergreen.yml"
    [provider] = yaml.safe_load(path.read_text("utf-8"))["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
