"""The names of every metric that services and exporter publish, as a query may use them."""

from __future__ import annotations

import re
from pathlib import Path

from evergreen.exporter.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
# What Prometheus adds to each scrape, and its own series of alerts.
PROMETHEUS = frozenset({"up", "ALERTS"})
_HISTOGRAMS = ("evergreen_request_seconds", "evergreen_stage_seconds", "evergreen_batch_rows")
# A name that is neither a label's, nor a function's or keyword's: metrics have an underscore, but for `up`.
_NAME = re.compile(r"(?:\w+:)?evergreen_\w+(?::\w+)?|\bup\b")
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")


def list_published_metrics() -> set[str]:
    """The metrics of the table in docs/serving.md, which another test compares with the code, and those of
    the exporter; of histograms the series that they are made of."""
    text = (ROOT / "docs/serving.md").read_text("utf-8")
    table = text.partition("| metric | labels |")[2].partition("\n\n")[0]
    names = set(re.findall(r"`(evergreen_\w+)`", table))
    parts = {f"{name}_{suffix}" for name in _HISTOGRAMS for suffix in ("bucket", "sum", "count")}
    return (names - set(_HISTOGRAMS)) | parts | set(FAMILIES)


def find_metric_names(query: str) -> set[str]:
    """The metrics that a PromQL query names."""
    return set(_NAME.findall(_STRING.sub('""', query)))
