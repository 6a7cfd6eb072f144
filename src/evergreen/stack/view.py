"""How the command line shows the stack: progress while it starts, tables afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.settings import STACK_ENV, Settings
from evergreen.usecase import TIMELESS

_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "dim",
    "unhealthy": "yellow",
    "restarting": "yellow",
    "back-off": "red",
    "stopped": "red",
    "failed": "red",
}


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[str], None]]:
    """A progress line on a terminal, plain lines elsewhere. Yields the function that says what happens."""
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False)
        return
    with console.status("starting") as shown:
        yield lambda text: shown.update(text)


def build_grid(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the one style of the command line; long cells are folded, never cut."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def render_restart(facts: Mapping[str, Any]) -> RenderableType:
    """`evergreen restart`: what is up again, and of a service what it serves now."""
    lines = [Text(f"{facts['name']} is up again after {facts['seconds']:.1f} s", style="green")]
    if standing := facts.get("standing"):
        style = "red" if standing["lags"] else ""
        held = standing["declaration"][:7]
        lines.append(Text(f"It {standing['summary']}; its declaration is {held}.", style=style))
    return Group(*lines)


def render_urls(settings: Settings, status: Mapping[str, Any]) -> RenderableType:
    """Where everything is, and where the passwords are (never the passwords themselves)."""
    table = build_grid("what", "where", "sign in")
    table.add_row("Airflow", settings.airflow_url, f"{settings.airflow_user}, EVERGREEN_AIRFLOW_PASSWORD")
    table.add_row("MLflow", settings.mlflow_tracking_uri, "open on this machine")
    place = f"{settings.mariadb_host}:{settings.mariadb_port}/{settings.mariadb_database}"
    table.add_row("MariaDB", place, f"{settings.mariadb_user}, EVERGREEN_MARIADB_PASSWORD")
    running = {process["name"] for process in status["processes"]}
    for name, url in sorted(settings.service_urls.items()):
        waits = "open on this machine" if f"service-{name}" in running else "starts with its first champion"
        table.add_row(f"{name} service", url, waits)
    return Group(table, Text(f"The passwords are in {settings.home / STACK_ENV}", overflow="fold"))


def render_status(facts: Mapping[str, Any]) -> RenderableType:
    """The processes, then a block per use case."""
    if facts["state"] != "running" and not facts["processes"]:
        return Text("Evergreen is down. Start it with: evergreen up")
    processes = build_grid(
        "process", "state", "pid", "url", "since", "restarts", "MB", right=("restarts", "MB")
    )
    for process in facts["processes"]:
        if process["one_off"] and process["state"] == "done":
            continue
        state = str(process["state"])
        processes.add_row(
            process["name"],
            Text(state, style=_STYLES.get(state, "")),
            str(process.get("pid") or ""),
            process.get("url") or "",
            shorten_moment(process.get("since")),
            str(process.get("restarts", 0)),
            f"{process['memory_mb']:.0f}" if process.get("memory_mb") is not None else "",
        )
    blocks: list[RenderableType] = [processes]
    blocks += [Text(f"\n{problem}", style="red") for problem in facts.get("problems", ())]
    for name, use_case in facts.get("use_cases", {}).items():
        blocks += [Text(f"\n{name}: {use_case['title']}", style="bold"), _build_use_case_table(use_case)]
    return Group(*blocks)


def _build_use_case_table(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for part in ("store", "champion", "standing", "drift", "decision", "predictions"):
        name = "service" if part == "standing" else part
        table.add_row(name, _render_fact(part, facts.get(part), facts))
    return table


def _render_fact(part: str, value: Any, facts: Mapping[str, Any]) -> Text:
    if part == "standing" and value and "error" not in value:
        return Text(value["summary"], style="red" if value["lags"] else "")
    if part == "champion" and value and value.get("reason"):
        return Text(f"{value['reason']}{_describe_serving_version(facts)}: {value['remedy']}", style="red")
    return Text(_describe_fact(part, value))


def _describe_serving_version(facts: Mapping[str, Any]) -> str:
    standing = facts.get("standing") or {}
    serves = standing.get("serves")
    return f"; the service still answers with v{serves}" if serves is not None else ""


def _describe_fact(part: str, value: Any) -> str:
    if not value:
        return "none yet"
    if "error" in value:
        return str(value["error"])
    if part == "store":
        tables = {**value["views"], "labels": value["label"]}
        return "; ".join(
            f"{name}: {found['rows']:,} rows" + _format_newest(found["newest_event_time"])
            for name, found in tables.items()
        )
    if part == "champion":
        return f"v{value['version']} since {shorten_moment(value['since'])}"
    if part == "predictions":
        return f"{value['total']:,}" + "".join(f", {n:,} by v{v}" for v, n in value["by_version"].items())
    told = f"{value['reason']} (as of {shorten_moment(value['as_of'])})"
    return told if part == "decision" else f"v{value['model_version']}: {told}"


def _format_newest(event_time: str | None) -> str:
    if not event_time:
        return ""
    timeless = datetime.fromisoformat(event_time) == TIMELESS
    return ", timeless" if timeless else f", newest {shorten_moment(event_time)}"


def shorten_moment(value: Any) -> str:
    """ISO moments to the second, anything else as it is."""
    text = "" if value is None else str(value)
    return (
        text[:19].replace("T", " ") if len(text) > 19 and text[4:5] == "-" and text[10:11] in "T " else text
    )


def render_use_cases(facts: Mapping[str, Mapping[str, Any]]) -> Table:
    table = build_grid("use case", "problem", "features", "title", "folder", right=("features",))
    for name, use_case in facts.items():
        if "error" in use_case:
            table.add_row(name, Text("broken", style="red"), "", Text(use_case["error"]), "")
            continue
        table.add_row(
            name, use_case["problem"], str(use_case["features"]), use_case["title"], use_case["folder"]
        )
    return table


def render_outcome(outcome: Mapping[str, Any]) -> Table:
    """A verb's small JSON result, a line per fact; what lies within a fact is told in its line, once."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    known = {value for value in outcome.values() if isinstance(value, str)}
    for key, value in outcome.items():
        table.add_row(Text(key), Text(_format_fact(value, known)))
    return table


def _format_fact(value: Any, known: set[str]) -> str:
    """A value as people write it; of what is within it, nothing that is `known` or empty."""
    if isinstance(value, Mapping):
        new = {name: each for name, each in value.items() if not isinstance(each, str) or each not in known}
        told = {name: _format_fact(each, known) for name, each in new.items()}
        return ", ".join(
            f"{name} ({text})" if isinstance(new[name], Mapping) else f"{name} {text}"
            for name, text in told.items()
            if text
        )
    if isinstance(value, list | tuple):
        # Of a check its reason says it all.
        return "; ".join(
            str(each["reason"])
            if isinstance(each, Mapping) and each.get("reason")
            else _format_fact(each, known)
            for each in value
        )
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")
    return shorten_moment(value)
