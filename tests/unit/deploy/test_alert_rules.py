"""Prometheus' alerts: whole, tested, on metrics that exist, with commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from evergreen.stack.deploy import facts
from support.published_metrics import PROMETHEUS, find_metric_names, list_published_metrics

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "rules/evergreen.yml").read_text("utf-8"))["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
CONFIGURATION = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_only_metrics_that_are_published(rule: dict[str, Any]) -> None:
    names = find_metric_names(rule["expr"])
    assert names
    assert names <= list_published_metrics() | RECORDED | PROMETHEUS


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert len(rule["annotations"]["summary"]) < 100
    assert rule["annotations"]["description"].endswith(".")


def test_the_commands_in_descriptions_exist() -> None:
    text = " ".join(rule["annotations"]["description"] for rule in ALERTS.values())
    readme = (FOLDER.parents[1] / "README.md").read_text("utf-8")
    commands = set(re.findall(r"evergreen ((?:[a-z-]+)(?: (?:explain|list|new)\b)?)", text))
    assert commands
    for command in commands:
        assert re.search(rf"`(evergreen )?{command}\b", readme), command


def test_every_alert_is_tested_firing_and_silent() -> None:
    firing: set[str] = set()
    silent: set[str] = set()
    for path in (FOLDER / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for case in test["promql_expr_test"]:
                for name in re.findall(r'alertname="(\w+)"', case["expr"]):
                    (firing if case["exp_samples"] else silent).add(name)
    assert firing == silent == set(ALERTS)


def test_prometheus_scrapes_the_services_and_the_exporter() -> None:
    jobs = {job["job_name"]: job for job in CONFIGURATION["scrape_configs"]}
    [discovery] = jobs["evergreen-services"]["dns_sd_configs"]
    compose = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text("utf-8"))
    services = {name: each for name, each in compose["services"].items() if name.startswith("service-")}
    assert len(services) >= 2
    for name, service in services.items():
        assert discovery["names"] == service["networks"]["default"]["aliases"], name
    assert discovery["port"] == facts.SERVICE.port
    named = {name for rule in RULES for name in re.findall(r'job="([\w-]+)"', rule["expr"])}
    assert named <= set(jobs)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "rules/evergreen.yml"),
        ("test", "rules", *sorted(f"tests/{path.name}" for path in (FOLDER / "tests").glob("*.yml"))),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
