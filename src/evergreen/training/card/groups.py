"""The section of the card about slices: how well the model serves each group of rows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from evergreen.pages.model_charts.quality import draw_slice_groups
from evergreen.pages.numbers import choose_decimals, format_metric_name, format_number, shorten_text
from evergreen.pages.page import Html, render_details, render_note, render_table
from evergreen.training.card.evaluation_facts import EvaluationFacts, SliceFacts

_MOST_SLICES = 10
_MOST_TABLES = 5  # so many slices have all metrics below them
_MOST_GROUPS = 24


def render_slices(evaluation: EvaluationFacts) -> str:
    """A box per slice, the sensitive ones first: its groups' metric as dots, and all metrics to unfold."""
    slices = sorted((each for each in evaluation.slices if each.groups), key=lambda each: not each.sensitive)
    if not slices:
        return ""
    boxes = "".join(
        _render_slice(each, place < _MOST_TABLES) for place, each in enumerate(slices[:_MOST_SLICES])
    )
    note = "Groups of the hold-out. What is sensitive must not make people be treated differently."
    if any(not group.judged for each in slices for group in each.groups):
        note += " Hollow groups have too few rows to be judged."
    if len(slices) > _MOST_SLICES:
        note += f" The first {_MOST_SLICES} of {len(slices)} slices."
    return render_note(note) + f'<div class="cards wide">{boxes}</div>'


def _render_slice(each: SliceFacts, with_table: bool) -> str:
    drawing = draw_slice_groups(each.chart_values, most=_MOST_GROUPS)
    badge = ' <span class="badge">sensitive</span>' if each.sensitive else ""
    unknown = [group for group in each.groups if each.metric not in group.metrics]
    notes = [_describe_spread(each)]
    if unknown:
        names = ", ".join(f"{shorten_text(group.name, 36)} ({group.rows:,} rows)" for group in unknown[:5])
        notes.append(f"Without a value: {names}{' and others' if len(unknown) > 5 else ''}.")
    rest = len(each.groups) - len(unknown) - _MOST_GROUPS
    if rest > 0:
        notes.append(f"{rest} more groups.")
    return (
        f'<div class="card"><h3>{escape(shorten_text(each.feature, 60))}{badge}</h3>'
        f"{drawing.to_html() if drawing is not None else ''}"
        f"{''.join(render_note(note) for note in notes if note)}"
        f"{_render_all_metrics(each) if with_table else ''}</div>"
    )


def _describe_spread(each: SliceFacts) -> str:
    """How much the judged groups differ in the slice's metric; empty if that is not known."""
    difference, ratio = each.difference.get(each.metric), each.ratio.get(each.metric)
    clauses = []
    if difference is not None:
        clauses.append(f"The groups differ by {format_number(difference)} at most")
    if ratio is not None:
        clauses.append(f"the smallest is {format_number(ratio)} of the greatest")
    text = "; ".join(clauses)
    return text[0].upper() + text[1:] + "." if text else ""


def _render_all_metrics(each: SliceFacts) -> str:
    groups = each.groups[:_MOST_GROUPS]
    names = list(dict.fromkeys(name for group in groups for name in group.metrics))
    if len(names) < 2:
        return ""
    places = {
        name: max(0, choose_decimals(*(group.metrics.get(name) for group in groups)) - 1) for name in names
    }

    def list_cells(title: object, metrics: Mapping[str, float]) -> tuple[object, ...]:
        """A row of the table."""
        return (title, *(format_number(metrics.get(name), places[name]) for name in names))

    rows = [list_cells(shorten_text(group.name, 36), group.metrics) for group in groups]
    rows.append(list_cells(Html("<b>difference</b>"), each.difference))
    rows.append(list_cells(Html("<b>ratio</b>"), each.ratio))
    header = ("", *map(format_metric_name, names))
    return render_details("all metrics", render_table(header, rows, numbers=range(1, len(names) + 1)))
