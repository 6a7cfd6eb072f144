"""How the drift of a chosen window is shown in a terminal. Texts from data are never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from evergreen.cli.tables.store_tables import add_row, render_title
from evergreen.pages.numbers import format_number
from evergreen.stack.view import build_grid, render_outcome

if TYPE_CHECKING:
    from evergreen.loop.monitoring.window_drift import FeatureFigures, SideFacts, SliceFigures, WindowDrift

_STYLES = {"drift": "red", "warning": "yellow", "unknown": "dim"}
_MOST_ROWS = 25
_MOST_NOTES = 12
_LEAST_P = 1e-16
# `reference_profile.PREDICTION`: its module imports numpy, for which `evergreen --help` would wait.
_PREDICTION = "__prediction__"


def render_window_drift(drift: WindowDrift) -> RenderableType:
    """`evergreen drift`: the verdict, the features and the slices, the worst first, and what to do next."""
    facts: dict[str, Any] = {
        "severity": drift.severity,
        "reason": drift.reason,
        "window": _describe_side(drift.window),
        "compared with": _describe_side(drift.reference),
        "channels": ", ".join(drift.channels),
    }
    if drift.since is not None:
        facts["since"] = f"{drift.since:%Y-%m-%d %H:%M} UTC, estimated by the hour"
    blocks: list[RenderableType] = [
        render_title(f"{drift.use_case}: drift of a chosen window"),
        render_outcome(facts),
        _render_features(drift.features),
    ]
    if drift.slices:
        blocks += [Text(""), _render_slices(drift.slices)]
    lines = [*(f"warning: {each}" for each in drift.warnings), *drift.notes]
    blocks += [Text(line, style="yellow") for line in lines[:_MOST_NOTES]]
    if len(lines) > _MOST_NOTES:
        blocks.append(Text(f"and {len(lines) - _MOST_NOTES} more: --json has all", style="dim"))
    blocks.append(Text(_suggest_next_step(drift), style="dim"))
    return Group(*blocks)


def _render_features(features: tuple[FeatureFigures, ...]) -> RenderableType:
    numbers = ("PSI", "JS", "p (G)", "p (KS)", "missing", "unseen")
    table = build_grid("feature", "severity", *numbers, right=numbers)
    for each in features[:_MOST_ROWS]:
        add_row(
            table,
            _name_feature(each.feature),
            _render_severity(each.severity),
            format_number(each.psi, 3),
            format_number(each.js_distance, 3),
            _format_p_value(each.g_test_p),
            _format_p_value(each.ks_p),
            _format_change(each.missing_change),
            _format_change(each.unseen_share),
        )
    if len(features) > _MOST_ROWS:
        return Group(table, Text(f"and {len(features) - _MOST_ROWS} more features", style="dim"))
    return table


def _render_slices(slices: tuple[SliceFigures, ...]) -> RenderableType:
    numbers = ("rows", "reference rows", "PSI")
    table = build_grid("slice", "severity", *numbers, "worst in", right=numbers)
    for each in slices[:_MOST_ROWS]:
        worst = each.features[0]
        others = f" and {len(each.features) - 1} more" if len(each.features) > 1 else ""
        add_row(
            table,
            each.slice,
            _render_severity(each.severity),
            f"{each.rows:,}",
            f"{each.reference_rows:,}",
            format_number(worst.psi, 3),
            _name_feature(worst.feature) + others,
        )
    if len(slices) > _MOST_ROWS:
        return Group(table, Text(f"and {len(slices) - _MOST_ROWS} more slices", style="dim"))
    return table


def _suggest_next_step(drift: WindowDrift) -> str:
    name = drift.use_case
    if drift.severity == "unknown":
        return f"\nA longer window has more predictions: evergreen drift {name} --from MOMENT"
    if drift.severity in ("drift", "warning"):
        return f"\nNothing was recorded or decided. A check that is: evergreen run monitor {name}"
    return f"\nNothing was recorded. The checks that were: evergreen report {name}"


def _describe_side(side: SideFacts) -> str:
    if side.start is None or side.end is None:
        return f"the reference profile of version {side.model_version} ({side.rows:,} training rows)"
    return (
        f"{side.rows:,} predictions of version {side.model_version}, {side.start:%Y-%m-%d %H:%M} to "
        f"{side.end:%Y-%m-%d %H:%M} UTC"
    )


def _name_feature(feature: str) -> str:
    return "the predictions" if feature == _PREDICTION else feature


def _render_severity(severity: str) -> Text:
    return Text(severity, style=_STYLES.get(severity, ""))


def _format_p_value(value: float | None) -> str:
    if value is None:
        return ""
    return f"< {_LEAST_P:.0e}" if value < _LEAST_P else f"{value:.2g}"


def _format_change(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"
