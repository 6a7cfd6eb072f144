"""Drawings in SVG: the same drawing stands inline in an HTML page or is a file of its own.

Every colour and font is an attribute of an SVG element, so a drawing needs no style sheet. Lengths are CSS
pixels. Text is escaped, and its width is estimated from its characters because no font is at hand.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from evergreen.pages.colours import INK, SOFT
from evergreen.pages.numbers import shorten_text
from evergreen.pages.page import Html

Anchor = Literal["start", "middle", "end"]

TEXT_SIZE = 12
SMALL_SIZE = 11
_TITLE_SIZE = 15
_MARGIN = 16  # around a drawing in a file
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_LEAST_FILE_WIDTH = 420
_NARROW, _WIDE = frozenset(" .,:;'|!()[]{}ijltfrI/\\"), frozenset("mwMW@%–—…")


@dataclass(frozen=True)
class Drawing:
    """SVG elements on an area of `width` by `height`; `label` describes them to a screen reader."""

    width: float
    height: float
    body: str
    label: str

    def to_html(self) -> Html:
        """The drawing as an inline SVG element, which shrinks with the column that it stands in."""
        size = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" style="max-width:{self.width:.0f}px"'
        description = f'role="img" aria-label="{escape(_clean_text(self.label))}"'
        return Html(f'<svg class="plot" {size} {description} {_root_attributes()}>{self.body}</svg>')


@dataclass(frozen=True)
class Picture:
    """A drawing with its title and a note below it."""

    title: str
    drawing: Drawing
    note: str = ""

    def to_svg(self) -> str:
        """The text of an SVG file: title, drawing and note on white, whatever it is shown on."""
        width = max(self.drawing.width, _LEAST_FILE_WIDTH)
        titles = wrap_text(self.title, width, _TITLE_SIZE * 1.06)[:2]
        notes = wrap_text(self.note, width, TEXT_SIZE)[:3]
        parts = [
            draw_text(0, _TITLE_SIZE + 20 * i, line, size=_TITLE_SIZE, tint=INK, bold=True)
            for i, line in enumerate(titles)
        ]
        top = 20 * len(titles) + 12
        parts.append(_move_to(0, top, self.drawing.body))
        foot = top + self.drawing.height + 12
        parts += [draw_text(0, foot + TEXT_SIZE + 17 * i, line) for i, line in enumerate(notes)]
        height = (foot + 17 * len(notes) if notes else foot - 12) + 2 * _MARGIN
        width += 2 * _MARGIN
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
            f' viewBox="0 0 {width:.0f} {height:.0f}" {_root_attributes()}>'
            f"<title>{escape(_clean_text(self.title))}</title>"
            f'<rect width="100%" height="100%" fill="white"/>'
            f"{_move_to(_MARGIN, _MARGIN, ''.join(parts))}</svg>\n"
        )


def draw_text(
    x: float,
    y: float,
    text: object,
    *,
    anchor: Anchor = "start",
    size: float = TEXT_SIZE,
    tint: str = SOFT,
    bold: bool = False,
    angle: float = 0,
    width: float | None = None,
) -> str:
    """One line of text on the base line `y`, turned by `angle` degrees; cut where it would exceed `width`."""
    line = " ".join(_clean_text(str(text)).split())
    if width is not None:
        line = shorten_to_width(line, width, size)
    attributes = "" if anchor == "start" else f' text-anchor="{anchor}"'
    attributes += "" if size == TEXT_SIZE else f' font-size="{size:g}"'
    attributes += "" if tint == SOFT else f' fill="{tint}"'
    attributes += ' font-weight="600"' if bold else ""
    place = round(x, 1), round(y, 1)
    attributes += f' transform="rotate({angle:g} {place[0]:g} {place[1]:g})"' if angle else ""
    return f'<text x="{place[0]:g}" y="{place[1]:g}"{attributes}>{escape(line, quote=False)}</text>'


def group_texts(
    texts: Sequence[str], *, anchor: Anchor = "start", size: float = TEXT_SIZE, tint: str = SOFT
) -> str:
    """Texts that `draw_text` drew without these attributes, which all of them get here: a shorter file."""
    if not texts:
        return ""
    return f'<g text-anchor="{anchor}" font-size="{size:g}" fill="{tint}">{"".join(texts)}</g>'


def draw_notice(text: str, width: float = 500) -> Drawing:
    """A drawing that holds a sentence only: why there is nothing to draw."""
    return Drawing(width, 34, draw_text(0, 20, text, width=width), text)


def arrange_in_grid(drawings: Sequence[Drawing], columns: int, gap: float = 18) -> Drawing:
    """Drawings in lines of so many columns; a column is as wide, a line as high as its greatest drawing."""
    columns = max(1, min(columns, len(drawings)))
    lines = [drawings[start : start + columns] for start in range(0, len(drawings), columns)]
    widths = [max(line[i].width for line in lines if i < len(line)) for i in range(columns)]
    parts, top = [], 0.0
    for line in lines:
        left = 0.0
        for drawing, width in zip(line, widths, strict=False):
            parts.append(_move_to(left, top, drawing.body))
            left += width + gap
        top += max(drawing.height for drawing in line) + gap
    label = "; ".join(drawing.label for drawing in drawings)
    return Drawing(sum(widths) + gap * (columns - 1), top - gap, "".join(parts), label)


def estimate_width(text: str, size: float = TEXT_SIZE) -> float:
    """About how wide the text is in a sans-serif font of that size; rather too wide than too narrow."""
    return size * sum(_estimate_character(character) for character in text)


def shorten_to_width(text: str, width: float, size: float = TEXT_SIZE) -> str:
    """The text, or its beginning and an ellipsis where all of it would be wider than `width`."""
    if estimate_width(text, size) <= width:
        return text
    length = len(text)
    while length > 1 and estimate_width(text[:length] + "…", size) > width:
        length -= 1
    return text[:length].rstrip() + "…"


def wrap_text(text: str, width: float, size: float = TEXT_SIZE) -> list[str]:
    """The text in lines that are about `width` wide at most; a longer word is cut."""
    lines: list[str] = []
    for word in shorten_text(_clean_text(text), 600).split():
        if lines and estimate_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten_to_width(word, width, size))
    return lines


def _root_attributes() -> str:
    return f'font-family="{_FONT}" font-size="{TEXT_SIZE}" fill="{SOFT}"'


def _move_to(x: float, y: float, body: str) -> str:
    return f'<g transform="translate({x:g} {y:g})">{body}</g>'


def _estimate_character(character: str) -> float:
    if character in _NARROW:
        return 0.35
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.92 if character in _WIDE else 0.68 if character.isupper() else 0.58


def _clean_text(text: str) -> str:
    """The text without characters that XML does not allow, which would make a whole file unreadable."""
    return "".join(
        character if character in "\t\n\r" or _is_xml_character(ord(character)) else "\ufffd"
        for character in text
    )


def _is_xml_character(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
