"""A run as an HTML page of one file, and its chart as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import AMBER, GREEN, SOFT
from evergreen.pages.drawing import Picture, arrange_in_grid
from evergreen.pages.page import Section, render_page, render_table
from evergreen.pages.plot import Curve, draw_plot
from load_tests.limits import Check
from load_tests.report import Report, Route

_HEADER = ("requests to", "count", "failed", "a second", "p50 ms", "p95 ms", "p99 ms", "longest ms")


def draw_run(report: Report) -> Picture:
    """Requests a second, response times and users over the run."""
    moments = [second.moment for second in report.seconds]
    x = build_number_axis(moments or [0.0, 1.0], "seconds", margin=0.0 if len(moments) > 1 else 0.05)
    panels = (
        (
            "requests a second",
            {
                "answered": ([second.per_second for second in report.seconds], GREEN),
                "failed": ([second.failures_per_second for second in report.seconds], AMBER),
            },
        ),
        (
            "milliseconds",
            {
                "p50": ([second.p50 for second in report.seconds], GREEN),
                "p95": ([second.p95 for second in report.seconds], AMBER),
                "p99": ([second.p99 for second in report.seconds], SOFT),
            },
        ),
        ("users", {"": ([float(second.users) for second in report.seconds], GREEN)}),
    )
    drawings = []
    for title, lines in panels:
        values = [value for each, _ in lines.values() for value in each]
        y = build_number_axis([0.0, *values], title, about=5)
        curves = [
            Curve(name, list(zip(moments, each, strict=True)), tint, dots=False)
            for name, (each, tint) in lines.items()
        ]
        drawings.append(draw_plot(x, y, curves, width=620, height=200, left=60))
    return Picture("The load over time", arrange_in_grid(drawings, 1))


def render_run(title: str, intro: Sequence[str], report: Report, checks: Sequence[Check]) -> str:
    """The page: verdict, chart, routes, failures."""
    routes = [_list_cells(route, route.name) for route in report.routes]
    sections = [
        Section(
            "Limits",
            render_table(
                ("limit", "measured", "at most", "verdict"),
                [
                    (
                        check.name,
                        _format(check, check.value),
                        _format(check, check.limit),
                        "pass" if check.passed else "FAIL",
                    )
                    for check in checks
                ],
                numbers=(1, 2),
            ),
        ),
        Section("Over time", draw_run(report).drawing.to_html()),
        Section(
            "By request",
            render_table(_HEADER, [*routes, _list_cells(report.total, "all")], numbers=range(1, 8)),
        ),
    ]
    if report.failures:
        rows = [(failure.count, failure.name, failure.reason) for failure in report.failures]
        sections.append(
            Section("Failures", render_table(("count", "requests to", "reason"), rows, numbers=(0,)))
        )
    return render_page(title, intro, sections)


def _list_cells(route: Route, name: str) -> list[str]:
    return [
        name,
        f"{route.requests:,}",
        f"{route.failures:,}",
        f"{route.per_second:,.1f}",
        *(f"{value:,.0f}" for value in (route.p50, route.p95, route.p99, route.longest)),
    ]


def _format(check: Check, value: float) -> str:
    return f"{value:.2%}" if check.unit == "%" else f"{value:,.0f} {check.unit}"
