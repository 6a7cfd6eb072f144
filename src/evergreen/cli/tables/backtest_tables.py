"""A backtest's result for people: the policies side by side, and what to declare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from evergreen.backtest.result import BacktestResult, PolicyOutcome
    from evergreen.backtest.run import Backtest

_MOST_RETRAINS = 12


def render_backtest(finished: Backtest) -> RenderableType:
    """`evergreen backtest`: the policies, the retrains of those that one could declare, and the advice."""
    result = finished.result
    advice = result.recommendation
    blocks: list[RenderableType] = [_describe_run(result, finished.fits_found), _build_table(result)]
    blocks += [Text(f"Note: {note}") for note in result.notes]
    candidates = [policy for policy in result.policies if policy.kind in ("declared", "given")]
    for policy in candidates:
        blocks.append(_describe_retrains(policy))
    blocks.append(
        Text.assemble(
            "\n",
            ("Declare ", "bold"),
            (advice.policy, "bold green"),
            f": {advice.reason}.",
        )
    )
    if advice.declaration:
        blocks.append(Text(f"    {advice.declaration}", style="green", no_wrap=True, overflow="ignore"))
    blocks.append(Text(f"\n{finished.page.resolve()}", no_wrap=True, overflow="ignore"))
    return Group(*blocks)


def _describe_run(result: BacktestResult, fits_found: int) -> Text:
    parameters = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in result.parameters.items()
    )
    reuse = f" ({fits_found:,} of them found from before)" if fits_found else ""
    return Text(
        f"{result.title}: {result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}, {result.checks:,} checks,"
        f" {result.rows:,} labelled rows as requests.\n"
        f"{result.fits:,} different training sets fitted{reuse}, {result.fits_shared:,} shared between"
        f" policies; {result.cpu_seconds:,.0f} s of processor time, {result.seconds:,.0f} s in all, on"
        f" {result.workers} process{'es' if result.workers > 1 else ''}.\n"
        f"Parameters: {parameters or 'the defaults'} ({result.parameters_source})."
    )


def _build_table(result: BacktestResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for name in (result.metric, "gain", "retrains", "different fits", "processor s"):
        table.add_column(name, justify="right")
    for policy in result.policies:
        gain = policy.gain
        is_chosen = policy.name == result.recommendation.policy
        table.add_row(
            policy.title,
            "-" if not math.isfinite(policy.value) else f"{policy.value:.4f}",
            "-" if gain is None else f"{gain:.0%}",
            f"{policy.retrains:,}",
            f"{policy.fits:,}",
            f"{policy.cpu_seconds:,.1f}",
            style="bold green" if is_chosen else "",
        )
    return table


def _describe_retrains(policy: PolicyOutcome) -> Text:
    decisions = [each for each in policy.decisions if each.retrain]
    lines = [f"{each.moment:%Y-%m-%d} {each.reason}" for each in decisions[:_MOST_RETRAINS]]
    if len(decisions) > _MOST_RETRAINS:
        lines.append(f"and {len(decisions) - _MOST_RETRAINS:,} more: see the page")
    if not lines:
        quiet = policy.decisions[-1].reason if policy.decisions else "nothing was checked"
        lines = [f"no retrain; the last check said: {quiet}"]
    return Text("\n".join((f"\n{policy.title}:", *(f"  {line}" for line in lines))))
