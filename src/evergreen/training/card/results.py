"""The metrics beside champion and baselines, and whose answers would change."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.pages.charts import bar, dot, scale
from evergreen.pages.numbers import decimals, finite, number, percent, short, signed
from evergreen.pages.page import Html, soft, table
from evergreen.training.card.parts import (
    CONTESTANTS,
    TINTS,
    Facts,
    contestant_name,
    interval,
    numbers,
    part,
    parts,
)
from evergreen.training.plots.style import metric_name

_MOST_EXAMPLES = 12


def metrics(evaluation: Facts) -> str:
    """What the gate compares as dots on their intervals, then every metric of every contestant."""
    own = numbers(evaluation, "candidate")
    if not own:
        return ""
    rivals = [name for name in CONTESTANTS if numbers(evaluation, name)]
    metric = str(evaluation.get("metric") or next(iter(own)))
    remark = evaluation.get("remark")
    said = "Measured on the same hold-out. Bands and brackets hold 95% of the bootstrap's resamples of it."
    note = soft(f"{said} {short(remark, 400)}" if remark else said)
    return note + _compared(evaluation, metric, rivals) + _all(evaluation, metric, rivals)


def _compared(evaluation: Facts, metric: str, rivals: Sequence[str]) -> str:
    values = {name: finite(part(evaluation, name).get(metric)) for name in rivals}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return ""
    spans = {name: interval(evaluation, "intervals", name, metric) for name in known}
    near = [name for name in known if name != "dummy"] or list(known)
    ends = _ends([end for name in near for end in (known[name], *(spans[name] or ()))])
    gains = {name: part(evaluation, "gains", name) for name in known if name != "candidate"}
    gains = {name: gain for name, gain in gains.items() if finite(gain.get("value")) is not None}
    close = [gain for name, gain in gains.items() if name != "dummy"] or list(gains.values())
    bounds = [finite(gain.get(end)) for gain in close for end in ("value", "low", "high")]
    reach = _ends([0.0, *(bound for bound in bounds if bound is not None)])
    places = decimals(*known.values())
    rows: list[Sequence[object]] = []
    for name, value in known.items():
        gain = gains.get(name, {})
        span = interval({"gain": {"ends": [gain.get("low"), gain.get("high")]}}, "gain", "ends")
        gained = finite(gain.get("value"))
        rows.append(
            (
                contestant_name(name, evaluation),
                number(value, places),
                dot(value, ends, spans[name], TINTS[name], line=known.get("candidate")),
                signed(gained, places) if gained is not None else "",
                dot(gained, reach, span, TINTS[name], line=0.0) if gained is not None else "",
                percent(gain["share"]) if finite(gain.get("share")) is not None else "",
            )
        )
    better = "less" if metric in LESS_IS_BETTER else "more"
    head = Html(f"{escape(metric_name(metric))}<br><small>{better} is better</small>")
    share = Html("better in<br><small>of resamples</small>")
    gain_head = Html("this model's<br>gain over it")
    header = ["", head, scale(ends), gain_head, scale(reach), share]
    if not gains:
        header, rows = header[:3], [row[:3] for row in rows]
    return table(header, rows, numbers=(1, 3, 5), kind="compared")


def _all(evaluation: Facts, metric: str, rivals: Sequence[str]) -> str:
    found = {name: numbers(evaluation, name) for name in rivals}
    names = list(dict.fromkeys([metric, *(m for values in found.values() for m in values)]))
    names = [name for name in names if any(name in values for values in found.values())]
    rows = []
    for name in names:
        known = [values[name] for values in found.values() if name in values]
        best = min(known) if name in LESS_IS_BETTER else max(known)
        title = f"{escape(metric_name(name))} {'↓' if name in LESS_IS_BETTER else '↑'}"
        cells = [_cell(evaluation, each, name, decimals(*known), best) for each in rivals]
        rows.append((Html(f"<b>{title}</b>" if name == metric else title), *cells))
    header = ["metric", *(contestant_name(name, evaluation) for name in rivals)]
    drawn = table(header, rows, numbers=range(1, len(rivals) + 1), kind="metrics")
    return drawn + soft("↑ more is better, ↓ less is better. The best of a line is bold.")


def _cell(evaluation: Facts, contestant: str, metric: str, places: int, best: float) -> object:
    value = finite(part(evaluation, contestant).get(metric))
    if value is None:
        return None
    text = number(value, places)
    shown = f"<b>{text}</b>" if value == best else text
    span = interval(evaluation, "intervals", contestant, metric)
    if span is not None:
        shown += f"<small>[{number(span[0], places)}, {number(span[1], places)}]</small>"
    return Html(shown)


def changed_answers(evaluation: Facts) -> str:
    """What logged requests would be answered otherwise."""
    replay = part(evaluation, "replay")
    if not replay.get("rows"):
        if evaluation.get("champion_version") is None:
            return ""
        return soft("No logged requests were answered again: there were none, or the replay is switched off.")
    champion = f"champion v{replay['champion_version']}" if replay.get("champion_version") else "the champion"
    told = (
        f"<p>Of the last {number(replay['rows'])} logged requests {number(replay.get('changed'))}"
        f" ({percent(replay.get('share'))}) would be answered otherwise than by {escape(champion)}.</p>"
    )
    mean = finite(replay.get("mean_change"))
    if mean is not None:
        told += f"<p>On average the answer changes by {signed(mean)}.</p>"
    examples = [each for each in parts(replay, "examples") if each.get("rows")]
    if not examples:
        return told
    most = max(each["rows"] for each in examples)
    rows = [
        (
            _answer(each.get("champion")),
            Html("→"),
            _answer(each.get("candidate")),
            number(each["rows"]),
            bar(each["rows"] / most),
        )
        for each in examples[:_MOST_EXAMPLES]
    ]
    return told + table((champion, "", "this model", "requests", ""), rows, numbers=(3,), kind="changes")


def _answer(value: object) -> str | None:
    if isinstance(value, float):
        return number(value)
    return None if value is None else short(value, 40)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
