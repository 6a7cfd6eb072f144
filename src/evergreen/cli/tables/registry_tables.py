"""How the ledger and a rollback are shown in a terminal. Text from data is never read as Rich's markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.stack.view import build_grid

if TYPE_CHECKING:  # `evergreen ledger` need not load what a rollback does
    from evergreen.loop.deployment.rollback import RollbackReport
    from evergreen.registry.ledger import Entry

_STYLES = {
    "promote": "green",
    "rollback": "yellow",
    "external": "red",
    "refuse": "red",
    "reject": "dim",
    "deny": "dim",
    "start_trial": "cyan",
    "end_trial": "cyan",
}


@dataclass(frozen=True)
class LedgerPage:
    """What `evergreen ledger USE_CASE` shows: lines, the newest first.

    `protected`: MariaDB refuses the platform's user to change or delete them. `warnings` are for the reader.
    """

    use_case: str
    protected: bool
    warnings: tuple[str, ...]
    lines: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        """What --json prints; a line has the ledger's columns, the gate's warnings, and `misdated`."""
        return {
            "use_case": self.use_case,
            "protected": self.protected,
            "warnings": list(self.warnings),
            "lines": [
                {**line.to_json(), "warnings": line.warnings, "misdated": line.misdated}
                for line in self.lines
            ],
        }


@dataclass(frozen=True)
class ChampionsAt:
    """What `evergreen ledger at TIME` shows: the line that made each champion of that moment (aware UTC).

    `written_later` are lines that are dated at or before the moment but were written after it.
    """

    at: datetime
    lines: tuple[Entry, ...]
    written_later: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "at": self.at,
            "served": [
                {
                    "use_case": line.use_case,
                    "version": line.to_version,
                    "since": line.since,
                    "action": line.action,
                    "actor": line.actor,
                    "reason": line.reason,
                }
                for line in self.lines
            ],
            "written_later": [line.to_json() for line in self.written_later],
        }


def render_ledger(page: LedgerPage) -> RenderableType:
    """`evergreen ledger`: a row per line, the newest first, and below them the warnings."""
    warnings = [Text(warning, style="yellow") for warning in page.warnings]
    if not page.lines:
        return Group(Text(f"The ledger has no line of {page.use_case} yet."), *warnings)
    has_gate_warnings = any(line.warnings for line in page.lines)
    table = build_grid(
        *("time (UTC)", "actor", "action", "from", "to"),
        *(["warnings"] if has_gate_warnings else []),
        "reason",
    )
    for column in table.columns[:1] + table.columns[2:-1]:
        column.no_wrap = True
    for line in page.lines:
        action = Text(line.action, style=_STYLES.get(line.action, ""))
        versions = (_format_version(line.from_version), _format_version(line.to_version))
        count = Text(str(len(line.warnings) or ""), style="yellow")
        counts = [count] if has_gate_warnings else []
        _add_row(table, _render_times(line), line.actor, action, *versions, *counts, line.reason)
    return Group(table, *warnings)


def render_champions_at(champions: ChampionsAt) -> RenderableType:
    """`evergreen ledger at`: a row per use case that had a champion, and the lines that did not count."""
    moment = f"{champions.at:%Y-%m-%d %H:%M:%S} UTC"
    notes = [_render_backdated_line(line) for line in champions.written_later]
    if not champions.lines:
        return Group(Text(f"No use case had a champion at {moment}, as far as the ledger knows."), *notes)
    table = build_grid("use case", "version", "since (UTC)", "by", "reason")
    for line in champions.lines:
        since = f"{line.since:%Y-%m-%d %H:%M:%S}"
        by = f"{line.action}, {line.actor}"
        _add_row(table, line.use_case, _format_version(line.to_version), since, by, line.reason)
    return Group(Text(f"Champions at {moment}", style="bold"), table, *notes)


def render_rollback(report: RollbackReport) -> RenderableType:
    """`evergreen rollback`: from, to, and how long it took until the service answered with that version."""
    former = f" instead of v{report.from_version}" if report.from_version else ""
    summary = f"v{report.to_version} is {report.use_case}'s champion{former}"
    if report.seconds is not None:
        summary += f"; the service answered with it {report.seconds:.1f} s after the alias began to change"
    lines = [Text(summary, style="green")]
    if report.remark:
        lines.append(Text(report.remark, style="yellow"))
    return Group(*lines)


def _render_backdated_line(line: Entry) -> Text:
    recorded_at = f"{line.recorded_at:%Y-%m-%d %H:%M:%S} UTC" if line.recorded_at else "an unknown time"
    return Text(
        f"Not heeded: a line that was written at {recorded_at} says that"
        f" {line.use_case} had {_format_version(line.to_version)}"
        f" since {line.at:%Y-%m-%d %H:%M:%S} ({line.action}, {line.actor}).",
        style="red",
    )


def _render_times(line: Entry) -> Text:
    """When the event happened; and when the line was written, where that is another moment."""
    text = Text(f"{line.at:%Y-%m-%d %H:%M:%S}")
    if line.misdated:
        text.append(f"\nwritten {line.recorded_at:%Y-%m-%d %H:%M:%S}", style="red")
    return text


def _format_version(version: int | None) -> str:
    return f"v{version}" if version is not None else "none"


def _add_row(table: Table, *cells: str | Text) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
