"""Plain values as YAML text with comments and anchors, for files that people read.

PyYAML writes neither comments nor merge keys, and gives anchors numbers for names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A text that YAML reads back as this very text without quotes.
_PLAIN = re.compile(r"(?:--?|\./)?[A-Za-z_/$][^#'\"\s]*(?:(?<!:) [^#'\"\s]+)*(?<!:)|[0-9]+[gms]")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"})
_SHORT = 96


@dataclass(frozen=True)
class Anchored:
    """A mapping under a name by which others take it over: `&name`."""

    name: str
    value: Mapping[str, Yaml]


@dataclass(frozen=True)
class Alias:
    """What stands elsewhere under that name: `*name`."""

    name: str


@dataclass(frozen=True)
class Commented:
    """A value with a comment in the lines before it, without #."""

    comment: str
    value: Yaml


Yaml = (
    str | int | float | bool | None | Anchored | Alias | Commented | Sequence["Yaml"] | Mapping[str, "Yaml"]
)
MERGE = "<<"


def merge_anchors(*names: str) -> Mapping[str, Yaml]:
    """The entry by which a mapping takes over others; of a key that stands in several, the first counts."""
    aliases = [Alias(name) for name in names]
    return {MERGE: aliases[0] if len(aliases) == 1 else aliases}


def render_yaml(document: Mapping[str, Yaml]) -> str:
    """The document as YAML, with an empty line before each entry of the top level that is not plain."""
    parts: list[str] = []
    for name, value in document.items():
        lines = _render_entry(name, value, 0)
        bare = value.value if isinstance(value, Commented) else value
        if parts and isinstance(bare, Mapping | Anchored) and bare:
            parts.append("")
        parts += lines
    return "\n".join(parts) + "\n"


def _render_entry(name: str, value: Yaml, depth: int) -> list[str]:
    """Lines of `name: value`, `depth` spaces in."""
    margin = " " * depth
    lines = []
    if isinstance(value, Commented):
        lines = [f"{margin}# {line}".rstrip() for line in value.comment.splitlines()]
        value = value.value
    anchor = ""
    if isinstance(value, Anchored):
        anchor, value = f" &{value.name}", value.value
    short = _render_short(value)
    if short is not None and not anchor:
        return [*lines, f"{margin}{name}: {short}".rstrip()]
    lines.append(f"{margin}{name}:{anchor}")
    if isinstance(value, Mapping):
        for index, (key, each) in enumerate(value.items()):
            if index and depth == 0 and name == "services":
                lines.append("")
            lines += _render_entry(key, each, depth + 2)
    else:
        assert isinstance(value, Sequence)
        for each in value:
            lines += _render_item(each, depth + 2)
    return lines


def _render_item(value: Yaml, depth: int) -> list[str]:
    """Lines of `- value`, `depth` spaces in."""
    margin = " " * depth
    lines = []
    if isinstance(value, Commented):
        lines = [f"{margin}# {line}" for line in value.comment.splitlines()]
        value = value.value
    short = _render_short(value)
    if short is not None:
        return [*lines, f"{margin}- {short}"]
    assert isinstance(value, Mapping)
    entries = [line for key, each in value.items() for line in _render_entry(key, each, depth + 2)]
    return [*lines, f"{margin}- {entries[0].lstrip()}", *entries[1:]]


def _render_short(value: Yaml) -> str | None:
    """The value in one line, or None where it takes several."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _quote_text(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Alias):
        return f"*{value.name}"
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        if set(value) == {"condition"}:
            return f"{{condition: {value['condition']}}}"
        return None
    if isinstance(value, Sequence):
        parts = [_render_short(each) if isinstance(each, Alias) else _render_flow(each) for each in value]
        if any(part is None for part in parts):
            return None
        text = f"[{', '.join(part for part in parts if part is not None)}]"
        return text if len(text) <= _SHORT else None
    return None


def _render_flow(value: Yaml) -> str | None:
    """A value within a list in one line: text in quotes, as in JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float | bool) else None


def _quote_text(value: str) -> str:
    """A text as YAML: quoted where YAML would take it for a number, a boolean or a structure."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    # JSON within double quotes would be a row of backslashes.
    if '"' in value and "'" not in value and "\n" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)
