"""The profile's page: one HTML text with everything in it, so that it opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from evergreen.workbench.groups import ByFeature, Group

_COLOURS = (
    *("#2a7f4f", "#e0a030", "#3b6fb6", "#b5523b", "#7a5ea8", "#4aa7a0", "#9a9a3a", "#c46a9b"),
    *("#6b7a71", "#1f4e79"),
)
_MOST_CORRELATED = 30


@dataclass(frozen=True)
class Section:
    """A heading and the HTML below it."""

    title: str
    body: str

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")


def page(title: str, intro: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole document. `title` and `intro` are plain text; a section's body is HTML."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{each.anchor}">{escape(each.title)}</a>' for each in sections)
    parts = "".join(
        f'<section id="{each.anchor}"><h2>{escape(each.title)}</h2>{each.body}</section>' for each in sections
    )
    said = "".join(f"<p>{escape(text)}</p>" for text in intro)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{style}</style></head>'
        f"<body><h1>{escape(title)}</h1>{said}<nav>{links}</nav>{parts}</body></html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    """A table of plain values; the columns in `numbers` are aligned to the right."""
    right = dict.fromkeys(numbers, ' class="number"')
    head = "".join(f"<th{right.get(i, '')}>{escape(name)}</th>" for i, name in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(f"<td{right.get(i, '')}>{escape(str(cell))}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>'


def legend(classes: Sequence[str]) -> str:
    """Which colour is which class."""
    keys = "".join(
        f'<span class="key" style="background:{_colour(i)}"></span>{escape(name)}'
        for i, name in enumerate(classes)
    )
    return f'<p class="soft">{keys}</p>'


def cards(features: Sequence[ByFeature], classes: Sequence[str]) -> str:
    """A card per feature: its groups with their row counts and what the target is like in each."""
    means = [group.mean for each in features for group in each.groups if group.mean is not None]
    ends = (min(means), max(means)) if means else (0.0, 1.0)
    return f'<div class="cards">{"".join(_card(each, classes, ends) for each in features)}</div>'


def correlations(frame: pd.DataFrame) -> str:
    """Spearman's rank correlations of a frame's numeric columns, as a coloured matrix."""
    ranked = frame.iloc[:, :_MOST_CORRELATED].rank()
    values = ranked.corr(min_periods=10)
    head = "".join(f'<th class="across">{escape(str(name))}</th>' for name in values.columns)
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th>{''.join(map(_cell, values.loc[name].to_numpy(np.float64)))}</tr>"
        for name in values.index
    )
    return f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{rows}</table></div>'


def _card(each: ByFeature, classes: Sequence[str], ends: tuple[float, float]) -> str:
    most = max((group.rows for group in each.groups), default=1)
    rows = "".join(_row(group, classes, most, ends) for group in each.groups)
    return (
        f'<div class="card"><h3>{escape(each.feature)} <span class="soft">explains {each.explains:.1%}'
        f"</span></h3><table>{rows}</table></div>"
    )


def _row(group: Group, classes: Sequence[str], most: int, ends: tuple[float, float]) -> str:
    if classes:
        parts = "".join(
            f'<i style="width:{share:.2%};background:{_colour(i)}" title="{escape(name)}: {share:.1%}"></i>'
            for i, (name, share) in enumerate(zip(classes, group.shares, strict=True))
        )
        told = f"{group.shares[-1]:.0%}" if len(classes) == 2 else ""
    else:
        assert group.mean is not None
        share = (group.mean - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 1.0
        parts = f'<i style="width:{0.04 + 0.96 * share:.2%};background:{_colour(0)}"></i>'
        told = f"{group.mean:.4g}"
    name = escape(group.name)
    return (
        f'<tr><td class="name" title="{name}">{name}</td>'
        f'<td style="width:22%"><div class="rows" style="width:{group.rows / most:.1%}"></div></td>'
        f'<td class="number">{group.rows:,}</td><td style="width:34%"><div class="shares">{parts}</div></td>'
        f'<td class="number">{told}</td></tr>'
    )


def _cell(value: float) -> str:
    if np.isnan(value):
        return "<td></td>"
    strength = min(1.0, abs(value))
    colour = f"rgba(42,127,79,{strength:.2f})" if value >= 0 else f"rgba(181,82,59,{strength:.2f})"
    ink = "white" if strength > 0.6 else "inherit"
    return f'<td style="background:{colour};color:{ink}">{value:.2f}</td>'


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]
