"""How decisions and alerts are shown in a terminal. Texts from data are never markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from evergreen.cli.tables.store_tables import add_row, render_title
from evergreen.monitoring.governor.training_window import WindowPlan
from evergreen.pages.numbers import format_number
from evergreen.stack.view import build_grid, render_outcome, shorten_moment

if TYPE_CHECKING:
    from pathlib import Path

    from evergreen.documents import Json, JsonObject
    from evergreen.loop.monitoring.decisions import DecisionEntry
    from evergreen.monitoring.report.document import CheckReport
    from evergreen.store.records.checks.alert import AlertRecord
    from evergreen.training.data.training_window import TrainingWindow

_OUTCOME_STYLES = {"promoted": "green", "rejected": "red", "failed": "red", "running": "cyan"}
# A check's result with the style that tells what counted.
_RESULT_STYLES = {"fired": "green", "blocked": "red", "overridden": "yellow", "unknown": "yellow"}
_MOST_FEATURES = 12
_MOST_NOTES = 8
_ALERT_STYLES = {"sent": "green", "pending": "yellow", "failed": "red", "no_target": "dim"}


def render_decisions(use_case_name: str, entries: Sequence[DecisionEntry]) -> RenderableType:
    """`evergreen decisions`: a row per decision, the newest first."""
    if not entries:
        return Text(
            f"No decision of {use_case_name} is on record: evergreen run monitor {use_case_name} makes one."
        )
    table = build_grid("as of (UTC)", "retrain", "trigger", "outcome", "reason")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for entry in entries:
        decision = entry.decision
        answer = Text("yes", style="green") if decision.retrain else Text("no", style="dim")
        moment = shorten_moment(decision.as_of.isoformat())
        # The first word of the reason stands in its own column.
        reason = decision.reason.partition(", because ")[2] or decision.reason
        add_row(table, moment, answer, decision.trigger or "", _render_outcome(entry), reason)
    hint = f"\nEvery check of one: evergreen decisions {use_case_name} --show MOMENT"
    return Group(table, Text(hint, style="dim"))


def render_decision(entry: DecisionEntry) -> RenderableType:
    """`evergreen decisions --show`: the answer, what became of it, every check, and the inputs."""
    decision = entry.decision
    facts: dict[str, Any] = {
        "decision": decision.id,
        "as of": f"{decision.as_of:%Y-%m-%d %H:%M:%S} UTC",
        "made": f"{decision.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "retrain": decision.reason,
        "trigger": decision.trigger or "none",
    }
    if entry.outcome is not None:
        version = f" v{entry.outcome.version}" if entry.outcome.version else ""
        reason = f": {entry.outcome.reason}" if entry.outcome.reason else ""
        facts["outcome"] = f"{entry.outcome.outcome}{version}{reason}"
    if decision.window:
        plan = WindowPlan.from_json(decision.window)
        facts["windows allowed"] = "; ".join(window.name for window in plan.candidates)
    if entry.window:
        facts["trained on"] = _describe_window(entry.window)
    if decision.drift_report_id:
        facts["check"] = decision.drift_report_id
    blocks: list[RenderableType] = [render_outcome(facts)]
    if decision.checks is None:
        blocks.append(Text("\nA version of before made this decision: its checks are not on record."))
        return Group(*blocks)
    table = build_grid("check", "", "result", "measured", "asked", "because")
    for column in table.columns[:3]:
        column.no_wrap = True
    for check in decision.checks:
        result = Text(check.result, style=_RESULT_STYLES.get(check.result, "dim"))
        add_row(table, check.name, check.kind, result, check.value, check.limit, check.text)
    blocks += [render_title("every rule of the policy"), table]
    if decision.inputs:
        blocks += [render_title("what was known"), render_outcome(_flatten_inputs(decision.inputs))]
    return Group(*blocks)


def render_alerts(records: Sequence[AlertRecord]) -> RenderableType:
    """`evergreen alert list`: a row per alert, the newest first."""
    if not records:
        return Text("Nobody was told anything yet.")
    table = build_grid("raised (UTC)", "kind", "status", "what", "targets")
    for column in table.columns[:3]:
        column.no_wrap = True
    for record in records:
        status = Text(record.status.replace("_", " "), style=_ALERT_STYLES.get(record.status, ""))
        about = f"{record.title}\n{record.body}"
        results = _format_results((record.results or {}).items())
        add_row(table, shorten_moment(record.raised_at.isoformat()), record.kind, status, about, results)
    return table


def render_test_message(results: Mapping[str, str]) -> RenderableType:
    """`evergreen alert test`: a row per target."""
    table = build_grid("target", "result")
    for name, text in results.items():
        add_row(table, name, Text(text, style="green" if text == "sent" else "red"))
    return table


def _format_results(results: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in results)


def _render_outcome(entry: DecisionEntry) -> Text:
    if entry.outcome is None:
        return Text("")
    version = f" v{entry.outcome.version}" if entry.outcome.version else ""
    return Text(f"{entry.outcome.outcome}{version}", style=_OUTCOME_STYLES.get(entry.outcome.outcome, ""))


def _describe_window(window: TrainingWindow) -> str:
    since = f" (since {window.start:%Y-%m-%d})" if window.start else ""
    trials = [
        f"{trial.name} {trial.loss:.4f} on {trial.rows:,} rows"
        if trial.loss is not None
        else f"{trial.name}: {trial.remark}"
        for trial in window.trials
    ]
    return f"{window.name}{since}" + (f"; losses tried: {', '.join(trials)}" if trials else "")


def _flatten_inputs(inputs: JsonObject) -> JsonObject:
    """The inputs without empty ones; of a list of points only their number and the last."""
    facts: JsonObject = {}
    for name, value in inputs.items():
        if value not in (None, "", [], {}):
            facts[name.replace("_", " ")] = _shorten_points(value) if name == "realised" else value
    return facts


def _shorten_points(realised: Json) -> Json:
    points = realised["points"] if isinstance(realised, Mapping) else None
    if not isinstance(realised, Mapping) or not isinstance(points, Sequence):
        return realised
    last: JsonObject = {"last": points[-1]} if points else {}
    return {**realised, "points": f"{len(points)} checks", **last}


def render_report(report: CheckReport, address: str, path: Path | None) -> RenderableType:
    """`evergreen report`: the overview of a check, the address of its page in MLflow, and where it was
    saved."""
    quality, decision = report.quality, report.decision
    facts: dict[str, Any] = {
        "check": f"as of {report.as_of:%Y-%m-%d %H:%M} UTC, {report.rows:,} predictions",
        "model": f"v{report.model_version}",
        "severity": report.severity,
        "because": report.reason,
        "since (UTC)": report.since.isoformat() if report.since else None,
        "quality": quality.reason if quality else None,
        "retrain": decision.reason if decision else "not decided",
        "page": address or None,
        "saved": str(path) if path else None,
    }
    lines = {name: value for name, value in facts.items() if value}
    blocks: list[RenderableType] = [render_title(report.title), render_outcome(lines)]
    drifting = [feature for feature in report.features if feature.severity in ("drift", "warning")]
    if drifting:
        table = build_grid("feature", "severity", "PSI", "limit", "since (UTC)", right=("PSI", "limit"))
        for feature in drifting[:_MOST_FEATURES]:
            since = f"{feature.since:%Y-%m-%d %H:%M}" if feature.since else ""
            style = "red" if feature.severity == "drift" else "yellow"
            severity = Text(feature.severity, style=style)
            psi, limit = format_number(feature.psi, 3), format_number(feature.limit)
            add_row(table, feature.feature, severity, psi, limit, since)
        blocks.append(table)
        if len(drifting) > _MOST_FEATURES:
            blocks.append(Text(f"and {len(drifting) - _MOST_FEATURES} more", style="dim"))
    blocks += [Text(note, style="yellow") for note in report.notes[:_MOST_NOTES]]
    if len(report.notes) > _MOST_NOTES:
        blocks.append(Text(f"and {len(report.notes) - _MOST_NOTES} more notes on the page", style="dim"))
    if path is None:
        hint = f"The page with every histogram: evergreen report {report.use_case} --open"
        blocks.append(Text(hint, style="dim"))
    return Group(*blocks)
