"""The section of the card about the hyperparameter search: how it went on, and the recipe that it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from evergreen.pages.charts import render_bar
from evergreen.pages.colours import BLUE
from evergreen.pages.model_charts.search import draw_search_history
from evergreen.pages.numbers import (
    choose_decimals,
    format_number,
    format_percent,
    format_value,
    shorten_text,
)
from evergreen.pages.page import Html, render_note, render_table
from evergreen.training.card.contestants import render_pair
from evergreen.training.card.search_facts import SearchFacts, TrialFacts

_MOST_PARAMETERS = 40
_BEST_TRIALS = 5
_MOST_COLUMNS = 6  # parameters in the table of the best trials
_NARROW_COLUMNS = 3  # a table of more stands below the chart, not beside it


def render_search(search: SearchFacts, recipe: Mapping[str, str]) -> str:
    """The trials, the best of them, and what the model was fitted with."""
    return _render_trials(search) + _render_recipe(search, recipe)


def _render_trials(search: SearchFacts) -> str:
    trials = search.trials
    if not trials:
        return ""
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    took = f" in {format_number(round(search.seconds, 1))} s" if search.seconds is not None else ""
    by = f" by the {shorten_text(search.sampler, 20)} sampler" if search.sampler else ""
    note = render_note(f"{format_number(len(trials))} trials{by}{took}: {', '.join(counts)}.")
    losses = search.losses
    chart = ""
    if any(trial.loss is not None and trial.state != "failed" for trial in losses):
        chart = draw_search_history(losses).drawing.to_html()
    table, columns = _render_best_trials(trials)
    return note + (chart + table if columns > _NARROW_COLUMNS else render_pair(chart, table))


def _render_best_trials(trials: Sequence[TrialFacts]) -> tuple[str, int]:
    """The table of the best trials, and how many parameters it has."""
    complete = [
        (trial, trial.loss) for trial in trials if trial.state == "complete" and trial.loss is not None
    ]
    best = sorted(complete, key=lambda item: (item[1], item[0].number or 0))[:_BEST_TRIALS]
    if not best:
        return "", 0
    places = choose_decimals(*(loss for _, loss in best))
    names = list(dict.fromkeys(name for trial, _ in best for name in trial.parameters))[:_MOST_COLUMNS]
    rows = [
        (
            format_number(trial.number),
            format_number(loss, places),
            format_number(trial.trees),
            *(shorten_text(format_value(trial.parameters.get(name)), 20) for name in names),
        )
        for trial, loss in best
    ]
    header = ("trial", "loss", "trees", *(shorten_text(name, 24) for name in names))
    table = render_table(header, rows, numbers=range(len(header)), kind="trials")
    return f'<h3 class="over">The best trials</h3>{table}', len(names)


def _render_recipe(search: SearchFacts, recipe: Mapping[str, str]) -> str:
    """What the model was fitted with, what was searched, and what of it mattered."""
    space, shares = search.space, search.importance
    names = list(dict.fromkeys([*recipe, *space]))[:_MOST_PARAMETERS]
    if not names:
        return ""
    most = max(shares.values(), default=0.0) or 1.0
    rows: list[Sequence[object]] = [
        (
            shorten_text(name, 48),
            Html(f"<b>{escape(shorten_text(recipe.get(name, format_value(None)), 60))}</b>"),
            shorten_text(space.get(name, ""), 60),
            format_percent(shares[name]) if name in shares else "",
            render_bar(shares[name] / most, BLUE) if name in shares else "",
        )
        for name in names
    ]
    header: Sequence[str] = ("parameter", "chosen", "searched", "explains", "")
    if not shares:
        header, rows = header[:3], [row[:3] for row in rows]
    if not space:
        header, rows = header[:2], [row[:2] for row in rows]
    table = render_table(header, rows, numbers=(3,), kind="recipe")
    note = render_note(
        "Explains: the share of the losses' spread over the trials that comes from the parameter."
    )
    return f'<h3 class="over">Recipe</h3>{table}{note if shares else ""}'
