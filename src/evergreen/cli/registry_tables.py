"""How the ledger and a rollback are shown in a terminal. What comes from data is never markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.stack.view import build_grid

_STYLES = {"promote": "green", "rollback": "yellow", "external": "red", "reject": "dim", "deny": "dim"}


def render_ledger(facts: Mapping[str, Any]) -> RenderableType:
    """`evergreen ledger`: a line per change or verdict, the newest first, and whether they can be trusted."""
    warnings = [Text(warning, style="yellow") for warning in facts["warnings"]]
    if not facts["lines"]:
        return Group(Text(f"The ledger has no line of {facts['use_case']} yet."), *warnings)
    warned = any(line["warnings"] for line in facts["lines"])
    table = build_grid(
        *("time (UTC)", "actor", "action", "from", "to"), *(["warnings"] if warned else []), "reason"
    )
    for column in table.columns[:1] + table.columns[2:-1]:
        column.no_wrap = True
    for line in facts["lines"]:
        action = Text(line["action"], style=_STYLES.get(line["action"], ""))
        versions = (_format_version(line["from_version"]), _format_version(line["to_version"]))
        count = Text(str(len(line["warnings"]) or ""), style="yellow")
        cells = (line["actor"], action, *versions, *([count] if warned else []), line["reason"])
        _add_row(table, _render_times(line), *cells)
    return Group(table, *warnings)


def render_champions_at(facts: Mapping[str, Any]) -> RenderableType:
    """`evergreen ledger at`: who was champion of what at that moment."""
    moment = f"{facts['at']:%Y-%m-%d %H:%M:%S} UTC"
    later = [
        Text(
            f"Not heeded: a line that was written at {line['recorded_at']:%Y-%m-%d %H:%M:%S} UTC says that"
            f" {line['use_case']} had {_format_version(line['to_version'])}"
            f" since {line['at']:%Y-%m-%d %H:%M:%S} ({line['action']}, {line['actor']}).",
            style="red",
        )
        for line in facts["written_later"]
    ]
    if not facts["served"]:
        return Group(Text(f"No use case had a champion at {moment}, as far as the ledger knows."), *later)
    table = build_grid("use case", "version", "since (UTC)", "by", "reason")
    for line in facts["served"]:
        since = f"{line['since']:%Y-%m-%d %H:%M:%S}"
        by = f"{line['action']}, {line['actor']}"
        _add_row(table, line["use_case"], _format_version(line["version"]), since, by, line["reason"])
    return Group(Text(f"Champions at {moment}", style="bold"), table, *later)


def render_rollback(facts: Mapping[str, Any]) -> RenderableType:
    """`evergreen rollback`: from, to, and how long it took until requests were answered so."""
    before = f" instead of v{facts['from']}" if facts["from"] else ""
    told = f"v{facts['to']} is {facts['use_case']}'s champion{before}"
    if facts["seconds"] is not None:
        told += f"; the service answered with it {facts['seconds']:.1f} s after the alias began to change"
    lines = [Text(told, style="green")]
    if facts["remark"]:
        lines.append(Text(facts["remark"], style="yellow"))
    return Group(*lines)


def _render_times(line: Mapping[str, Any]) -> Text:
    """When it happened; and when it was written, where that is another moment."""
    told = Text(f"{line['at']:%Y-%m-%d %H:%M:%S}")
    if line["misdated"]:
        told.append(f"\nwritten {line['recorded_at']:%Y-%m-%d %H:%M:%S}", style="red")
    return told


def _format_version(version: int | None) -> str:
    return f"v{version}" if version is not None else "none"


def _add_row(table: Table, *cells: str | Text) -> None:
    texts: Sequence[Text] = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
    table.add_row(*texts)
