"""A backtest's result for people: the policies side by side, and what to declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MOST_RETRAINS = 12


def render_backtest(facts: Mapping[str, Any]) -> RenderableType:
    """The document of `BacktestResult.to_json`, with "page" and "fits_found"."""
    advice = facts["recommendation"]
    parts: list[RenderableType] = [_describe_run(facts), _build_table(facts)]
    parts += [Text(f"Note: {note}") for note in facts["notes"]]
    candidates = [policy for policy in facts["policies"] if policy["kind"] in ("declared", "given")]
    for policy in candidates:
        parts.append(_describe_retrains(policy))
    parts.append(
        Text.assemble(
            "\n",
            ("Declare ", "bold"),
            (advice["policy"], "bold green"),
            f": {advice['reason']}.",
        )
    )
    if advice["declaration"]:
        parts.append(Text(f"    {advice['declaration']}", style="green", no_wrap=True, overflow="ignore"))
    parts.append(Text(f"\n{facts['page']}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def _describe_run(facts: Mapping[str, Any]) -> Text:
    parameters = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in facts["parameters"].items()
    )
    reuse = f" ({facts['fits_found']:,} of them found from before)" if facts["fits_found"] else ""
    return Text(
        f"{facts['title']}: {facts['start'][:10]} to {facts['end'][:10]}, {facts['checks']:,} checks,"
        f" {facts['rows']:,} labelled rows as requests.\n"
        f"{facts['fits']:,} different training sets fitted{reuse}, {facts['fits_shared']:,} shared between"
        f" policies; {facts['cpu_seconds']:,.0f} s of processor time, {facts['seconds']:,.0f} s in all, on"
        f" {facts['workers']} process{'es' if facts['workers'] > 1 else ''}.\n"
        f"Parameters: {parameters or 'the defaults'} ({facts['parameters_source']})."
    )


def _build_table(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for name in (facts["metric"], "gain", "retrains", "different fits", "processor s"):
        table.add_column(name, justify="right")
    for policy in facts["policies"]:
        gain = policy["gain"]
        is_chosen = policy["name"] == facts["recommendation"]["policy"]
        table.add_row(
            policy["title"],
            "-" if policy["value"] is None else f"{policy['value']:.4f}",
            "-" if gain is None else f"{gain:.0%}",
            f"{policy['retrains']:,}",
            f"{policy['fits']:,}",
            f"{policy['cpu_seconds']:,.1f}",
            style="bold green" if is_chosen else "",
        )
    return table


def _describe_retrains(policy: Mapping[str, Any]) -> Text:
    decisions = [each for each in policy["decisions"] if each["retrain"]]
    lines = [f"{each['moment'][:10]} {each['reason']}" for each in decisions[:_MOST_RETRAINS]]
    if len(decisions) > _MOST_RETRAINS:
        lines.append(f"and {len(decisions) - _MOST_RETRAINS:,} more: see the page")
    if not lines:
        quiet = policy["decisions"][-1]["reason"] if policy["decisions"] else "nothing was checked"
        lines = [f"no retrain; the last check said: {quiet}"]
    return Text("\n".join((f"\n{policy['title']}:", *(f"  {line}" for line in lines))))
