"""Parts of the profile's page: a card per feature with the target by group, and a correlation matrix."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from evergreen.pages.charts import render_bar, render_stacked_bar
from evergreen.pages.colours import GREEN
from evergreen.pages.page import Html
from evergreen.workbench.groups import FeatureGroups, Group

_MOST_CORRELATED = 30


def render_feature_cards(features: Sequence[FeatureGroups], classes: Sequence[str]) -> str:
    """A card per feature: its groups with their row counts and what the target is like in each."""
    means = [group.mean for each in features for group in each.groups if group.mean is not None]
    ends = (min(means), max(means)) if means else (0.0, 1.0)
    return f'<div class="cards">{"".join(_render_card(each, classes, ends) for each in features)}</div>'


def render_correlations(frame: pd.DataFrame) -> str:
    """Spearman's rank correlations of a frame's numeric columns, as a coloured matrix."""
    ranked = frame.iloc[:, :_MOST_CORRELATED].rank()
    values = ranked.corr(min_periods=10)
    head = "".join(f'<th class="across">{escape(str(name))}</th>' for name in values.columns)
    rows = ""
    for name in values.index:
        cells = "".join(map(_render_cell, values.loc[name].to_numpy(np.float64)))
        rows += f"<tr><th>{escape(str(name))}</th>{cells}</tr>"
    return f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{rows}</table></div>'


def _render_card(each: FeatureGroups, classes: Sequence[str], ends: tuple[float, float]) -> str:
    """The groups of one feature; `ends` are the least and greatest mean of all features' groups."""
    most = max((group.rows for group in each.groups), default=1)
    rows = "".join(_render_row(group, classes, most, ends) for group in each.groups)
    return (
        f'<div class="card"><h3>{escape(each.feature)} <span class="soft">explains {each.explains:.1%}'
        f"</span></h3><table>{rows}</table></div>"
    )


def _render_row(group: Group, classes: Sequence[str], most: int, ends: tuple[float, float]) -> str:
    if classes:
        target = render_stacked_bar(dict(zip(classes, group.shares, strict=True)))
        text = f"{group.shares[-1]:.0%}" if len(classes) == 2 else ""
    else:
        assert group.mean is not None
        share = (group.mean - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 1.0
        target = Html(f'<div class="shares">{render_bar(0.04 + 0.96 * share, GREEN)}</div>')
        text = f"{group.mean:.4g}"
    name = escape(group.name)
    return (
        f'<tr><td class="name" title="{name}">{name}</td>'
        f'<td style="width:22%">{render_bar(group.rows / most)}</td>'
        f'<td class="number">{group.rows:,}</td><td style="width:34%">{target}</td>'
        f'<td class="number">{text}</td></tr>'
    )


def _render_cell(value: float) -> str:
    """A correlation on green (positive) or red (negative), the stronger the darker."""
    if np.isnan(value):
        return "<td></td>"
    strength = min(1.0, abs(value))
    colour = f"rgba(42,127,79,{strength:.2f})" if value >= 0 else f"rgba(181,82,59,{strength:.2f})"
    ink = "white" if strength > 0.6 else "inherit"
    return f'<td style="background:{colour};color:{ink}">{value:.2f}</td>'
