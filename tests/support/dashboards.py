"""Grafana's dashboards as the repository has them, and their queries as Grafana would send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
DASHBOARDS: Mapping[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
# From 2000 to 2038, beyond which FROM_UNIXTIME of MariaDB 10 gives NULL.
_START, _END = 946_684_800, 2_145_916_800
_HOUR = 3600


@dataclass(frozen=True)
class Query:
    """A query of a panel or of a variable; `form` is "promql", "time_series" or "table"."""

    place: str
    form: str
    text: str


def list_queries() -> list[Query]:
    """Every query of every dashboard."""
    return [query for name, dashboard in DASHBOARDS.items() for query in _list_queries(name, dashboard)]


def fill_promql(text: str) -> str:
    """A PromQL query with Grafana's variables filled in."""
    return _check_filled(text.replace("$__rate_interval", "1m").replace("$use_case", "toy"))


def fill_sql(text: str, use_case: str, ledger: str) -> str:
    """A query for MariaDB as Grafana's MySQL data source sends it, for the ledger of a test."""
    text = re.sub(
        r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN FROM_UNIXTIME({_START}) AND FROM_UNIXTIME({_END})", text
    )
    text = re.sub(r"\$__timeGroup\(([\w.]+), '1h'\)", rf"UNIX_TIMESTAMP(\1) DIV {_HOUR} * {_HOUR}", text)
    text = text.replace("${use_case:sqlstring}", f"'{use_case}'").replace("${use_case:raw}", use_case)
    return _check_filled(text.replace("evergreen_ledger.", f"`{ledger}`."))


def _check_filled(text: str) -> str:
    # Beside Grafana's variables there are paths within JSON: '$.reason'.
    assert not re.search(r"\$[\w{]", text), text
    return text


def _list_queries(name: str, dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for variable in dashboard["templating"]["list"]:
        place = f"{name}: variable {variable['name']}"
        if variable["datasource"]["type"] == "mysql":
            yield Query(place, "table", variable["query"])
        else:
            metric = re.fullmatch(r"label_values\((\w+), \w+\)", variable["query"]["query"])
            assert metric is not None
            yield Query(place, "promql", metric[1])
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            place = f"{name}: {panel['title']}, {target['refId']}"
            if target["datasource"]["type"] == "mysql":
                yield Query(place, target["format"], target["rawSql"])
            else:
                yield Query(place, "promql", target["expr"])
