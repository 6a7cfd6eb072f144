"""The verdict: passed, perhaps with warnings, or rejected; every check, and the model at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from evergreen.pages.numbers import (
    choose_decimals,
    format_bytes,
    format_difference,
    format_metric_name,
    format_number,
    format_percent,
    shorten_text,
)
from evergreen.pages.page import Html, render_table
from evergreen.training.card.contestants import describe_champion
from evergreen.training.card.evaluation_facts import EvaluationFacts
from evergreen.training.card.facts import CardDocument, CheckFacts, VerdictFacts

_MOST_CHECKS = 60
# By a check's result its mark and the mark's class; in the order in which checks are shown.
_MARKS = {"failed": ("✗", "no"), "warning": ("!", "warn"), "passed": ("✓", "yes")}


@dataclass(frozen=True)
class _Tile:
    """A number in large type, what it is, and a note below it."""

    number: str
    name: str
    note: str = ""


def render_verdict(facts: CardDocument) -> str:
    """The banner, a few numbers, and the checks."""
    checks = facts.verdict.checks[:_MOST_CHECKS]
    return _render_banner(facts.verdict, checks) + _render_tiles(facts) + _render_checks(checks)


def _render_banner(verdict: VerdictFacts, checks: Sequence[CheckFacts]) -> str:
    if verdict.passed is None:
        return _render_box("open", "Not judged", "No gate has judged this model yet.")
    failed = [check for check in checks if check.result == "failed"]
    warnings = [check for check in checks if check.result == "warning"]
    champion = verdict.champion_version
    if verdict.passed:
        consequence = (
            f"It may take the place of champion v{champion}."
            if champion is not None
            else "No champion was compared with it: it may go live."
        )
        if warnings:
            title = f"Passed with {_count_warnings(warnings)}"
            count = f"{len(checks) - len(warnings)} of {len(checks)} checks passed"
            return _render_box("warned", title, f"{count}, {_list_names(warnings)} warned", consequence)
        count = f"All {len(checks)} checks" if len(checks) > 1 else "The one check"
        return _render_box("passed", "Passed", f"{count} passed" if checks else verdict.summary, consequence)
    consequence = (
        f"Champion v{champion} stays." if champion is not None else "No champion was compared with it."
    )
    head = verdict.summary
    if failed:
        head = f"{len(failed)} of {len(checks)} checks failed: {_list_names(failed)}"
        head += f"; {_count_warnings(warnings)}: {_list_names(warnings)}" if warnings else ""
    return _render_box("rejected", "Rejected", head, consequence)


def _list_names(checks: Sequence[CheckFacts]) -> str:
    return ", ".join(shorten_text(check.name, 60) for check in checks)


def _count_warnings(warnings: Sequence[CheckFacts]) -> str:
    return f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}"


def _render_box(kind: str, title: str, *sentences: str) -> str:
    text = " ".join(escape(shorten_text(each, 600).rstrip(".") + ".") for each in sentences if each)
    return f'<div class="verdict {kind}"><b>{title}</b><span>{text}</span></div>'


def _render_checks(checks: Sequence[CheckFacts]) -> str:
    """The failed ones first, then those that warn."""
    if not checks:
        return ""
    rows = []
    order = list(_MARKS)
    for check in sorted(checks, key=lambda check: order.index(check.result)):
        sign, kind = _MARKS[check.result]
        rows.append(
            (
                Html(f'<span class="mark {kind}" title="{check.result}">{sign}</span>'),
                Html(f"<b>{escape(shorten_text(check.name, 60))}</b>"),
                *_format_pair(check.candidate, check.wanted),
                shorten_text(check.reason, 600),
            )
        )
    return render_table(("", "check", "this model", "wanted", "reason"), rows, numbers=(2, 3), kind="checks")


def _format_pair(candidate: float | None, target: float | None) -> tuple[str, str]:
    """Both numbers with the same decimals, unless they are whole or of different size."""
    sizes = [abs(number) for number in (candidate, target) if number]
    if all(size.is_integer() for size in sizes) or max(sizes) > 50 * min(sizes):
        return format_number(candidate), format_number(target)
    places = choose_decimals(candidate, target)
    return format_number(candidate, places), format_number(target, places)


def _render_tiles(facts: CardDocument) -> str:
    """The numbers that a decision is made with, as tiles."""
    evaluation, data = facts.evaluation, facts.data
    metric = evaluation.metric or facts.verdict.metric or ""
    candidate = evaluation.contestants.get("candidate")
    value = candidate.metrics.get(metric) if candidate else None
    tiles = []
    if value is not None:
        number = format_number(value, choose_decimals(value))
        tiles.append(_Tile(number, format_metric_name(metric), _describe_interval(evaluation, metric)))
    tiles += _build_gain_tiles(evaluation, choose_decimals(value))
    replay = evaluation.replay
    if replay is not None:
        note = f"{format_number(replay.changed)} of {format_number(replay.rows)} logged requests"
        tiles.append(_Tile(format_percent(replay.share), "of answers change", note))
    if data.rows:
        note = f"judged on {format_number(data.holdout_rows)} of them" if data.holdout_rows else ""
        tiles.append(_Tile(format_number(data.rows), "rows", note))
    if evaluation.latency_ms is not None:
        note = f"a file of {format_bytes(evaluation.size_bytes)}" if evaluation.size_bytes else ""
        latency = f"{format_number(round(evaluation.latency_ms, 2))} ms"
        tiles.append(_Tile(latency, "for one prediction", note))
    boxes = "".join(
        f'<div class="tile"><b>{escape(tile.number)}</b><span>{escape(tile.name)}</span>'
        f"<small>{escape(tile.note)}</small></div>"
        for tile in tiles
    )
    return f'<div class="tiles">{boxes}</div>' if boxes else ""


def _build_gain_tiles(evaluation: EvaluationFacts, places: int) -> list[_Tile]:
    """What the model gains on the champion, or on the linear baseline where there is no champion."""
    for rival, name in (("champion", describe_champion(evaluation)), ("linear", "the linear baseline")):
        gain = evaluation.gains.get(rival)
        if gain is not None:
            share = gain.share
            note = f"better in {format_percent(share)} of resamples" if share is not None else ""
            return [_Tile(format_difference(gain.value, places), f"gain on {name}", note)]
    return []


def _describe_interval(evaluation: EvaluationFacts, metric: str) -> str:
    ends = evaluation.contestants["candidate"].intervals.get(metric)
    if ends is None:
        return ""
    places = choose_decimals(*ends)
    return f"{format_number(ends[0], places)} to {format_number(ends[1], places)}"
