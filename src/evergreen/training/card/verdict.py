"""The verdict: passed, perhaps with warnings, or rejected; every check, and the model at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.numbers import decimals, finite, number, percent, short, signed, size
from evergreen.pages.page import Html, table
from evergreen.training.card.parts import Facts, champion_name, interval, part, parts
from evergreen.training.plots.style import metric_name

_MOST_CHECKS = 60
# By a check's result its mark and the mark's class; in the order in which checks are shown.
_MARKS = {"failed": ("✗", "no"), "warning": ("!", "warn"), "passed": ("✓", "yes")}


def verdict(facts: Facts) -> str:
    """The banner, the checks, and a few numbers."""
    given = part(facts, "verdict")
    checks = list(parts(given, "checks"))[:_MOST_CHECKS]
    return _banner(given, checks) + _glance(facts) + _checks(checks)


def _banner(given: Facts, checks: Sequence[Facts]) -> str:
    if given.get("passed") is None:
        return _box("open", "Not judged", "No gate has judged this model yet.")
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
            title = f"Passed with {_count(warnings)}"
            head = f"{len(checks) - len(warnings)} of {len(checks)} checks passed, {_names(warnings)} warned"
            return _box("warned", title, head, may)
        count = f"All {len(checks)} checks" if len(checks) > 1 else "The one check"
        head = f"{count} passed" if checks else str(given.get("summary") or "")
        return _box("passed", "Passed", head, may)
    stays = f"Champion v{champion} stays." if champion is not None else "No champion was compared with it."
    if failed:
        head = f"{len(failed)} of {len(checks)} checks failed: {_names(failed)}"
        head += f"; {_count(warnings)}: {_names(warnings)}" if warnings else ""
    else:
        head = str(given.get("summary") or "")
    return _box("rejected", "Rejected", head, stays)


def _result(check: Facts) -> str:
    """The result of a check; verdicts of before there were warnings say only whether it passed."""
    known = str(check.get("result"))
    return known if known in _MARKS else "passed" if check.get("passed") else "failed"


def _names(checks: Sequence[Facts]) -> str:
    return ", ".join(short(check.get("name", ""), 60) for check in checks)


def _count(warnings: Sequence[Facts]) -> str:
    return f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}"


def _box(kind: str, title: str, *said: str) -> str:
    told = " ".join(escape(short(each, 600).rstrip(".") + ".") for each in said if each)
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
                Html(f"<b>{escape(short(check.get('name', ''), 60))}</b>"),
                *_alike(check.get("candidate"), check.get("wanted")),
                short(check.get("reason") or "", 600),
            )
        )
    return table(("", "check", "this model", "wanted", "reason"), rows, numbers=(2, 3), kind="checks")


def _alike(value: object, wanted: object) -> tuple[str, str]:
    """Both numbers with the same decimals, unless they are whole or of different size."""
    sizes = [abs(found) for each in (value, wanted) if (found := finite(each))]
    if all(each.is_integer() for each in sizes) or max(sizes) > 50 * min(sizes):
        return number(value), number(wanted)
    places = decimals(value, wanted)
    return number(value, places), number(wanted, places)


def _glance(facts: Facts) -> str:
    """The numbers that a decision is made with, as tiles."""
    evaluation, data = part(facts, "evaluation"), part(facts, "data")
    metric = str(evaluation.get("metric") or part(facts, "verdict").get("metric") or "")
    tiles = []
    value = finite(part(evaluation, "candidate").get(metric))
    if value is not None:
        tiles.append((number(value, decimals(value)), metric_name(metric), _interval(evaluation, metric)))
    for rival, name in (("champion", champion_name(evaluation)), ("linear", "the linear baseline")):
        gain = part(evaluation, "gains", rival)
        if finite(gain.get("value")) is not None:
            share = finite(gain.get("share"))
            note = f"better in {percent(share)} of resamples" if share is not None else ""
            tiles.append((signed(gain["value"], decimals(value)), f"gain on {name}", note))
            break
    replay = part(evaluation, "replay")
    if replay.get("rows"):
        note = f"{number(replay.get('changed'))} of {number(replay['rows'])} logged requests"
        tiles.append((percent(replay.get("share")), "of answers change", note))
    if data.get("rows"):
        judged = data.get("holdout_rows")
        tiles.append((number(data["rows"]), "rows", f"judged on {number(judged)} of them" if judged else ""))
    latency = finite(evaluation.get("latency_ms"))
    if latency is not None:
        weight = evaluation.get("size_bytes")
        note = f"a file of {size(weight)}" if weight else ""
        tiles.append((f"{number(round(latency, 2))} ms", "for one prediction", note))
    drawn = "".join(
        f'<div class="tile"><b>{escape(big)}</b><span>{escape(name)}</span>'
        f"<small>{escape(note)}</small></div>"
        for big, name, note in tiles
    )
    return f'<div class="tiles">{drawn}</div>' if drawn else ""


def _interval(evaluation: Facts, metric: str) -> str:
    ends = interval(evaluation, "intervals", "candidate", metric)
    if ends is None:
        return ""
    places = decimals(*ends)
    return f"{number(ends[0], places)} to {number(ends[1], places)}"
