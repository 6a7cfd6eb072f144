"""How the command line shows use cases of a running stack, and a server that was restarted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.registry.vacancy import Vacancy
from evergreen.serving.standing import ServiceStatus
from evergreen.stack.overview import PresentChampion, ReadFailure, ReportPlace, UseCaseOverview
from evergreen.stack.restart import Restart, ServiceRestart
from evergreen.stack.view import shorten_moment
from evergreen.store.predictions.prediction_log import PredictionCounts
from evergreen.store.records.checks.decision import DecisionSummary
from evergreen.store.records.checks.drift_evidence import join_warnings
from evergreen.store.records.checks.drift_summary import DriftSummary
from evergreen.store.records.summary import StoreSummary
from evergreen.usecase import TIMELESS
from evergreen.usecase.digest import shorten_digest

Record = TypeVar("Record")


def render_restart(restarted: Restart) -> RenderableType:
    """`evergreen restart`: what is up again, and of a service what it serves now."""
    lines = [Text(f"{restarted.name} is up again after {restarted.seconds:.1f} s", style="green")]
    if isinstance(restarted, ServiceRestart) and (standing := restarted.standing):
        digest = shorten_digest(standing.declaration)
        style = "red" if standing.lags else ""
        lines.append(Text(f"It {standing.describe()}; its declaration is {digest}.", style=style))
    return Group(*lines)


def render_overviews(overviews: Mapping[str, UseCaseOverview]) -> RenderableType:
    """A block per use case, by name."""
    blocks: list[RenderableType] = []
    for name, overview in overviews.items():
        blocks += [Text(f"\n{name}: {overview.title}", style="bold"), _build_overview_table(name, overview)]
    return Group(*blocks)


def _build_overview_table(name: str, overview: UseCaseOverview) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("store", _render_record(overview.store, _describe_store))
    table.add_row("champion", _render_champion(overview))
    table.add_row("service", _render_record(overview.standing, ServiceStatus.describe, _style_standing))
    table.add_row("drift", _render_record(overview.drift, _describe_drift))
    table.add_row("decision", _render_record(overview.decision, _describe_decision))
    table.add_row("report", _render_record(overview.report, partial(_describe_report, name)))
    table.add_row("predictions", _render_record(overview.predictions, _describe_predictions))
    return table


def _render_record(
    record: Record | ReadFailure | None,
    describe: Callable[[Record], str],
    choose_style: Callable[[Record], str] = lambda _: "",
) -> Text:
    """A record of an overview in words; why it cannot be read, or that there is none yet."""
    if isinstance(record, ReadFailure):
        return Text(record.error)
    return Text(describe(record), style=choose_style(record)) if record else Text("none yet")


def _style_standing(standing: ServiceStatus) -> str:
    return "red" if standing.lags else ""


def _render_champion(overview: UseCaseOverview) -> Text:
    champion, standing = overview.champion, overview.standing
    if not isinstance(champion, Vacancy):
        return _render_record(champion, _describe_champion)
    serves = standing.serves if isinstance(standing, ServiceStatus) else None
    still = f"; the service still answers with v{serves}" if serves is not None else ""
    return Text(f"{champion.describe()}{still}: {champion.remedy}", style="red")


def _describe_champion(champion: PresentChampion) -> str:
    return f"v{champion.version} since {shorten_moment(champion.since and champion.since.isoformat())}"


def _describe_store(store: StoreSummary) -> str:
    tables = {**store.views, "labels": store.label}
    return "; ".join(
        f"{name}: {table.rows:,} rows{_format_newest(table.newest_event_time)}"
        for name, table in tables.items()
    )


def _describe_drift(report: DriftSummary) -> str:
    return f"v{report.model_version}: {_describe_decision(report)}{join_warnings(report.warnings)}"


def _describe_decision(decision: DecisionSummary | DriftSummary) -> str:
    return f"{decision.reason} (as of {shorten_moment(decision.as_of.isoformat())})"


def _describe_report(use_case_name: str, report: ReportPlace) -> str:
    """Where the newest report is: its page in MLflow, or the command that shows it without."""
    place = report.address or f"evergreen report {use_case_name}"
    return f"{place} (as of {shorten_moment(report.as_of.isoformat())})"


def _describe_predictions(counts: PredictionCounts) -> str:
    return f"{counts.total:,}" + "".join(f", {n:,} by v{v}" for v, n in counts.by_version.items())


def _format_newest(event_time: datetime | None) -> str:
    if not event_time:
        return ""
    return ", timeless" if event_time == TIMELESS else f", newest {shorten_moment(event_time.isoformat())}"
