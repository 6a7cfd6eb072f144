"""The verdict: passed, perhaps with warnings, or rejected; every check, and the model at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.numbers import (
    choose_decimals,
    format_bytes,
    format_difference,
    format_number,
    format_percent,
    parse_number,
    shorten_text,
)
from evergreen.pages.page import Html, render_table
from evergreen.training.card.parts import Facts, describe_champion, get_interval, get_mapping, list_mappings
from evergreen.training.plots.style import metric_name

_MOST_CHECKS = 60
# By a check's result its mark and the mark's class; in the order in which checks are shown.
_MARKS = {"failed": ("✗", "no"), "warning": ("!", "warn"), "passed": ("✓", "yes")}


def render_verdict(facts: Facts) -> str:
    """The banner, the checks, and a few numbers."""
    given = get_mapping(facts, "verdict")
    checks = list(list_mappings(given, "checks"))[:_MOST_CHECKS]
    return _banner(given, checks) + _render_tiles(facts) + _checks(checks)


def _banner(given: Facts, checks: Sequence[Facts]) -> str:
    if given.get("passed") is None:
        return _render_box("open", "Not judged", "No gate has judged this model yet.")
    failed = [check for check in checks if _result(check) == "failed"]
    warnings = [check for check in checks if _result(check) == "warning"]
    champion = given.get("champion_version")
    if given["passed"]:
        may = (
            f"It may take the place of champion v{champion}."
            if champion is not None
            else "No champion was compared with it: it may go live."
        )
        if warnings:
            title = f"Passed with {_count_warnings(warnings)}"
            head = f"{len(checks) - len(warnings)} of {len(checks)} checks passed, {_names(warnings)} warned"
            return _render_box("warned", title, head, may)
        count = f"All {len(checks)} checks" if len(checks) > 1 else "The one check"
        head = f"{count} passed" if checks else str(given.get("summary") or "")
        return _render_box("passed", "Passed", head, may)
    stays = f"Champion v{champion} stays." if champion is not None else "No champion was compared with it."
    if failed:
        head = f"{len(failed)} of {len(checks)} checks failed: {_names(failed)}"
        head += f"; {_count_warnings(warnings)}: {_names(warnings)}" if warnings else ""
    else:
        head = str(given.get("summary") or "")
    return _render_box("rejected", "Rejected", head, stays)


def _result(check: Facts) -> str:
    """The result of a check; verdicts of before there were warnings say only whether it passed."""
    known = str(check.get("result"))
    return known if known in _MARKS else "passed" if check.get("passed") else "failed"


def _names(checks: Sequence[Facts]) -> str:
    return ", ".join(shorten_text(check.get("name", ""), 60) for check in checks)


def _count_warnings(warnings: Sequence[Facts]) -> str:
    return f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}"


def _render_box(kind: str, title: str, *said: str) -> str:
    told = " ".join(escape(shorten_text(each, 600).rstrip(".") + ".") for each in said if each)
    return f'<div class="verdict {kind}"><b>{title}</b><span>{told}</span></div>'


def _checks(checks: Sequence[Facts]) -> str:
    """The failed ones first, then those that warn."""
    if not checks:
        return ""
    rows = []
    order = list(_MARKS)
    for check in sorted(checks, key=lambda check: order.index(_result(check))):
        result = _result(check)
        sign, kind = _MARKS[result]
        rows.append(
            (
                Html(f'<span class="mark {kind}" title="{result}">{sign}</span>'),
                Html(f"<b>{escape(shorten_text(check.get('name', ''), 60))}</b>"),
                *_format_pair(check.get("candidate"), check.get("wanted")),
                shorten_text(check.get("reason") or "", 600),
            )
        )
    return render_table(("", "check", "this model", "wanted", "reason"), rows, numbers=(2, 3), kind="checks")


def _format_pair(value: object, wanted: object) -> tuple[str, str]:
    """Both numbers with the same decimals, unless they are whole or of different size."""
    sizes = [abs(found) for each in (value, wanted) if (found := parse_number(each))]
    if all(each.is_integer() for each in sizes) or max(sizes) > 50 * min(sizes):
        return format_number(value), format_number(wanted)
    places = choose_decimals(value, wanted)
    return format_number(value, places), format_number(wanted, places)


def _render_tiles(facts: Facts) -> str:
    """The numbers that a decision is made with, as tiles."""
    evaluation, data = get_mapping(facts, "evaluation"), get_mapping(facts, "data")
    metric = str(evaluation.get("metric") or get_mapping(facts, "verdict").get("metric") or "")
    tiles = []
    value = parse_number(get_mapping(evaluation, "candidate").get(metric))
    if value is not None:
        tiles.append(
            (format_number(value, choose_decimals(value)), metric_name(metric), _interval(evaluation, metric))
        )
    for rival, name in (("champion", describe_champion(evaluation)), ("linear", "the linear baseline")):
        gain = get_mapping(evaluation, "gains", rival)
        if parse_number(gain.get("value")) is not None:
            share = parse_number(gain.get("share"))
            note = f"better in {format_percent(share)} of resamples" if share is not None else ""
            tiles.append((format_difference(gain["value"], choose_decimals(value)), f"gain on {name}", note))
            break
    replay = get_mapping(evaluation, "replay")
    if replay.get("rows"):
        note = f"{format_number(replay.get('changed'))} of {format_number(replay['rows'])} logged requests"
        tiles.append((format_percent(replay.get("share")), "of answers change", note))
    if data.get("rows"):
        judged = data.get("holdout_rows")
        tiles.append(
            (
                format_number(data["rows"]),
                "rows",
                f"judged on {format_number(judged)} of them" if judged else "",
            )
        )
    latency = parse_number(evaluation.get("latency_ms"))
    if latency is not None:
        weight = evaluation.get("size_bytes")
        note = f"a file of {format_bytes(weight)}" if weight else ""
        tiles.append((f"{format_number(round(latency, 2))} ms", "for one prediction", note))
    drawn = "".join(
        f'<div class="tile"><b>{escape(big)}</b><span>{escape(name)}</span>'
        f"<small>{escape(note)}</small></div>"
        for big, name, note in tiles
    )
    return f'<div class="tiles">{drawn}</div>' if drawn else ""


def _interval(evaluation: Facts, metric: str) -> str:
    ends = get_interval(evaluation, "intervals", "candidate", metric)
    if ends is None:
        return ""
    places = choose_decimals(*ends)
    return f"{format_number(ends[0], places)} to {format_number(ends[1], places)}"
