"""HTML pages and their plain parts: sections, tables, facts, notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from evergreen.pages.numbers import NOTHING


class Html(str):
    """Text that is HTML. All other text is escaped by the functions that put it into a page."""


@dataclass(frozen=True)
class Section:
    """A heading and the HTML below it."""

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """The section's id in the page, made of its title."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def render_page(
    title: str, intro: Sequence[str], sections: Sequence[Section], *, style: str = "", links: bool = True
) -> str:
    """The whole document: `title` and paragraphs of `intro` (plain text), then the sections.

    `style` is CSS in addition to that of all pages. With `links` a line of links to the sections stands on
    top; in the sandboxed frame in which MLflow shows artifacts such links do not work.
    """
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + style
    anchors = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections)
    nav = f"<nav>{anchors}</nav>" if links else ""
    bodies = "".join(
        f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>{section.body}</section>'
        for section in sections
    )
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in intro)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{css}</style></head>'
        f"<body><h1>{escape(title)}</h1>{paragraphs}{nav}{bodies}</body></html>\n"
    )


def render_table(
    header: Sequence[object], rows: Iterable[Sequence[object]], numbers: Sequence[int] = (), kind: str = ""
) -> Html:
    """A table of values (plain, or `Html`); the columns in `numbers` (from 0) are aligned to the right.

    `kind` is the table's class in the CSS. A header of empty texts is left out.
    """
    right = dict.fromkeys(numbers, ' class="number"')

    def render_cells(tag: str, values: Sequence[object]) -> str:
        """The cells of a row, as `td` or `th` elements."""
        return "".join(
            f"<{tag}{right.get(i, '')}>{render_value(each)}</{tag}>" for i, each in enumerate(values)
        )

    head = render_cells("th", header)
    body = "".join(f"<tr>{render_cells('td', row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    attribute = f' class="{kind}"' if kind else ""
    return Html(f'<div class="scroll"><table{attribute}>{top}<tbody>{body}</tbody></table></div>')


def render_facts(facts: Mapping[str, str | None]) -> Html:
    """Names and their values, side by side; a value that is None or empty is left out."""
    pairs = "".join(
        f"<dt>{escape(name)}</dt><dd>{render_value(value)}</dd>"
        for name, value in facts.items()
        if value not in (None, "")
    )
    return Html(f"<dl>{pairs}</dl>") if pairs else Html()


def render_note(text: str) -> Html:
    """A paragraph in small grey type; `text` is plain."""
    return Html(f'<p class="soft">{escape(text)}</p>')


def render_details(title: str, body: str) -> Html:
    """A title (plain text) that shows the HTML below it when it is clicked."""
    return Html(f"<details><summary>{escape(title)}</summary>{body}</details>")


def render_value(value: object) -> str:
    """A value as HTML: None becomes a dash, `Html` stays as it is, all else is escaped."""
    if value is None:
        return NOTHING
    return value if isinstance(value, Html) else escape(str(value))
