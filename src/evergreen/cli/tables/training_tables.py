"""How a training, its verdict and a reproduced model are shown in a terminal. Texts from data are never
markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.model.judging.verdict import Check
from evergreen.stack.view import build_grid

if TYPE_CHECKING:
    from evergreen.loop.explain import VerdictExplanation
    from evergreen.loop.reproduce import Reproduction
    from evergreen.loop.train_results import PromotionResult, TrainingResult
    from evergreen.model.judging.verdict import CheckDocument

_COLOURS = {"promoted": "green", "rejected": "red", "denied": "red", "waiting": "yellow"}
# A check's result as a mark and a word, which differ without colours too.
_RESULTS = {
    "passed": Text("✓ passed", style="green"),
    "warning": Text("! warning", style="yellow"),
    "failed": Text("✗ failed", style="bold red"),
}


def render_training(use_case_name: str, outcome: TrainingResult) -> RenderableType:
    """`evergreen train`: the search, the contestants' metrics, every check, and the outcome."""
    tuning = outcome["tuning"]
    params = ", ".join(f"{name} {_format_number(value)}" for name, value in tuning["params"].items())
    contestants = build_grid("contestant", "value", right=("value",))
    for name, value in outcome["metrics"].items():
        if value is not None:
            contestants.add_row(Text(name), _format_number(value))
    checks = cast("Sequence[CheckDocument]", outcome["gate"]["checks"])
    # The reason of a rejection is the command's error message.
    ending = (
        []
        if not (outcome["promoted"] or outcome["waiting"])
        else [Text(), render_promotion_result(use_case_name, outcome)]
    )
    return Group(
        Text(
            f"{outcome['rows']:,} rows, {tuning['trials']} trials in {tuning['seconds']:.1f} s of fitting:"
            f" {params}"
        ),
        Text(),
        contestants,
        Text(),
        _render_checks([Check.from_json(check) for check in checks]),
        *ending,
    )


def render_promotion_result(use_case_name: str, outcome: PromotionResult | TrainingResult) -> RenderableType:
    """Whether a version is champion now, and if not, why."""
    version = f"{use_case_name} v{outcome['version']}"
    warnings = [Text(f"Warning: {reason}", style="yellow") for reason in outcome["warnings"]]
    if outcome["promoted"]:
        return Group(Text(f"{version} is champion", style="green"), *warnings)
    if outcome["on_trial"]:
        text = f"{version} passed the gate and waits for its trial: evergreen run deploy {use_case_name}"
        return Group(Text(text, style="yellow"), *warnings)
    if outcome["waiting"]:
        text = (
            f"{version} passed the gate and waits for approval: evergreen approve {use_case_name}"
            f" {outcome['version']}"
        )
        return Group(Text(text, style="yellow"), *warnings)
    return Text(f"{version} stays out: {outcome['reason']}", style="red")


def render_verdict(explanation: VerdictExplanation) -> RenderableType:
    """`evergreen gate explain`: the outcome, how many checks passed, failed and warn, then every check."""
    verdict, outcome = explanation.verdict, explanation.outcome
    opponent = f"champion v{verdict.champion_version}" if verdict.champion_version else "the baselines"
    lines = [
        Text(
            f"{explanation.use_case} v{explanation.version}: {outcome}",
            style=f"bold {_COLOURS.get(outcome, '')}",
        ),
        Text(
            f"as of {explanation.as_of.isoformat()}, because: {explanation.reason}; compared with {opponent}"
        ),
        _render_check_counts(verdict.checks),
    ]
    if explanation.outcome_because and explanation.outcome_because != verdict.summary:
        lines.append(Text(explanation.outcome_because))
    references = build_grid("", "")
    for name, text in (
        ("training run", explanation.training_run),
        ("mlflow run", explanation.mlflow_run),
        ("dataset digest", explanation.dataset_digest),
        ("model digest", explanation.model_digest),
        ("card", explanation.card),
    ):
        if text:
            references.add_row(Text(name), Text(text))
    return Group(*lines, Text(), _render_checks(verdict.checks), Text(), references)


def render_reproduction(facts: Reproduction) -> RenderableType:
    """`evergreen train --reproduce`: the digests on record and those of the rebuilt model."""
    table = build_grid("", "on record", "now")
    table.add_row(
        "training set", *map(_render_digest, (facts["dataset_digest"], facts["rebuilt_dataset_digest"]))
    )
    table.add_row("model", *map(_render_digest, (facts["model_digest"], facts["rebuilt_model_digest"])))
    for recorded, rebuilt in zip(facts["holdout_digests"], facts["rebuilt_holdout_digests"], strict=False):
        table.add_row("hold-out model", _render_digest(recorded), _render_digest(rebuilt))
    table.add_row("code", Text(facts["code_version"]), Text(facts["present_code_version"]))
    version = f" v{facts['model_version']}" if facts["model_version"] else ""
    style = "green" if facts["same"] else "red"
    return Group(table, Text(), Text(f"{facts['use_case']}{version}: {facts['reason']}", style=style))


def _render_checks(checks: Sequence[Check]) -> Table:
    table = build_grid("", "check", "measured", "asked", "reason", right=("measured", "asked"))
    for check in checks:
        numbers = (_format_number(check.candidate), _format_number(check.wanted))
        table.add_row(_RESULTS[check.result], Text(check.name), *numbers, Text(check.reason))
    for column in table.columns[:4]:
        column.no_wrap = True
    return table


def _render_check_counts(checks: Sequence[Check]) -> Text:
    counts = Counter(check.result for check in checks)
    clauses = [f"{counts['passed']} of {len(checks)} checks passed"]
    if counts["failed"]:
        clauses.append(f"{counts['failed']} failed")
    if counts["warning"]:
        clauses.append(f"{counts['warning']} warning{'s' if counts['warning'] > 1 else ''}")
    return Text(", ".join(clauses))


def _format_number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _render_digest(value: str | None) -> Text:
    return Text(value[:16] if value else "none")
