"""The document and its plain parts: sections, tables, facts, notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from evergreen.pages.numbers import NOTHING


class Html(str):
    """Text that is HTML already. Everything else is escaped where it is shown."""


@dataclass(frozen=True)
class Section:
    """A heading and the HTML below it."""

    title: str
    body: str

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def render_page(
    title: str, intro: Sequence[str], sections: Sequence[Section], *, style: str = "", links: bool = True
) -> str:
    """The whole document. `title` and `intro` are plain text; a section's body is HTML. `style`: more CSS.

    `links` to the sections stand on top. In the sandboxed frame of MLflow's artifacts they lead nowhere.
    """
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + style
    leads = "".join(f'<a href="#{each.anchor}">{escape(each.title)}</a>' for each in sections)
    nav = f"<nav>{leads}</nav>" if links else ""
    parts = "".join(
        f'<section id="{each.anchor}"><h2>{escape(each.title)}</h2>{each.body}</section>' for each in sections
    )
    said = "".join(f"<p>{escape(text)}</p>" for text in intro)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{css}</style></head>'
        f"<body><h1>{escape(title)}</h1>{said}{nav}{parts}</body></html>\n"
    )


def render_table(
    header: Sequence[object], rows: Iterable[Sequence[object]], numbers: Sequence[int] = (), kind: str = ""
) -> Html:
    """A table of values (plain, or `Html`); the columns in `numbers` are aligned to the right.

    `kind` is its class in the CSS.
    """
    right = dict.fromkeys(numbers, ' class="number"')

    def cells(tag: str, values: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{right.get(i, '')}>{render_value(each)}</{tag}>" for i, each in enumerate(values)
        )

    head = cells("th", header)
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    named = f' class="{kind}"' if kind else ""
    return Html(f'<div class="scroll"><table{named}>{top}<tbody>{body}</tbody></table></div>')


def render_facts(given: Mapping[str, object]) -> Html:
    """Names and their values, side by side; what is None is left out."""
    pairs = "".join(
        f"<dt>{escape(name)}</dt><dd>{render_value(value)}</dd>"
        for name, value in given.items()
        if value not in (None, "")
    )
    return Html(f"<dl>{pairs}</dl>") if pairs else Html()


def render_note(text: str) -> Html:
    """A note."""
    return Html(f'<p class="soft">{escape(text)}</p>')


def render_details(title: str, body: str) -> Html:
    """HTML that opens when its title is clicked."""
    return Html(f"<details><summary>{escape(title)}</summary>{body}</details>")


def render_value(value: object) -> str:
    """A value as HTML: None as a dash, `Html` as it is, all else escaped."""
    if value is None:
        return NOTHING
    return value if isinstance(value, Html) else escape(str(value))
