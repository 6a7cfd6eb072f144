"""A run in the terminal: a table of the routes, two charts over time, and the limits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from load_tests.limits import Check
from load_tests.report import Report, Route

_WIDTH, _HEIGHT = 60, 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_MOST_FAILURES = 5


def render_report(report: Report, checks: Sequence[Check]) -> RenderableType:
    """Everything, one below the other."""
    parts: list[RenderableType] = [_render_routes(report)]
    if report.seconds:
        parts += [
            draw_columns("requests/s", [second.per_second for second in report.seconds]),
            draw_columns("p95, ms", [second.p95 for second in report.seconds]),
            draw_columns("users", [second.users for second in report.seconds]),
        ]
    if report.failures:
        parts.append(_render_failures(report))
    lines = [f"[{'green' if check.passed else 'red'}]{escape(check.describe())}[/]" for check in checks]
    parts.append(Text.from_markup("\n".join(lines)))
    return Group(*parts)


def draw_columns(title: str, values: Sequence[float], width: int = _WIDTH, height: int = _HEIGHT) -> Text:
    """Columns of block characters over time, `height` lines high; the top line stands for the greatest value.

    More values than `width` are joined: a column is the mean of its values.
    """
    columns = join_values(values, width)
    top = max(columns, default=0.0)
    eighths = [round(value / top * height * 8) if top > 0 else 0 for value in columns]
    label = f"{top:,.0f}"
    lines = [f"{title} over {len(values)} s"]
    for line in range(height, 0, -1):
        cells = "".join(_EIGHTHS[min(8, max(0, each - (line - 1) * 8))] for each in eighths)
        edge = label if line == height else "0" if line == 1 else ""
        lines.append(f"{edge:>{max(6, len(label))}} │{cells}")
    return Text("\n".join(lines) + "\n")


def join_values(values: Sequence[float], count: int) -> list[float]:
    """At most `count` means of neighbouring values, in order."""
    if len(values) <= count:
        return list(values)
    edges = [index * len(values) // count for index in range(count + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


def _render_routes(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("requests to")
    for name in ("count", "failed", "a second", "p50 ms", "p95 ms", "p99 ms", "longest"):
        table.add_column(name, justify="right")
    for route in report.routes:
        table.add_row(*_format_route(route, route.name))
    table.add_row(*_format_route(report.total, "all"), style="bold")
    return table


def _format_route(route: Route, name: str) -> list[str]:
    return [
        escape(name),
        f"{route.requests:,}",
        f"{route.failures:,}",
        f"{route.per_second:,.1f}",
        *(f"{value:,.0f}" for value in (route.p50, route.p95, route.p99, route.longest)),
    ]


def _render_failures(report: Report) -> Text:
    shown = report.failures[:_MOST_FAILURES]
    lines = [f"{failure.count:,} x {failure.name}: {failure.reason}" for failure in shown]
    if more := len(report.failures) - len(shown):
        lines.append(f"and {more} other ways")
    return Text("failures\n  " + "\n  ".join(lines) + "\n", style="red")
