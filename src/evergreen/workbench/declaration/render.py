"""The text of a declaration: Python, laid out as `ruff format` would, without values that are defaults."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields

from evergreen.usecase import (
    Between,
    Contract,
    DriftPolicy,
    Entity,
    Feature,
    FeatureView,
    FileSource,
    Floor,
    Gate,
    Key,
    Serving,
    Tuning,
    UseCase,
)
from evergreen.workbench.declaration.declare import Declaration
from evergreen.workbench.declaration.declared_features import OmittedColumn

_WIDTH = 110
_PIECE = 86
# In place of a keyword: one part of a long string.
_PART = "\0"

# A keyword and its value.
Argument = tuple[str, object]


@dataclass(frozen=True)
class _Node:
    """An expression: `flat` on one line, or `items` between `opening` and `closing`, one a line."""

    flat: str
    opening: str = ""
    items: tuple[tuple[str, _Node], ...] = ()
    closing: str = ""
    comment: str = ""


def render_declaration(declaration: Declaration, notes: Sequence[str], origin: str) -> str:
    """The text of a use case's `__init__.py`: `origin` ends its first line, `notes` become comments."""
    use_case = declaration.use_case
    view = use_case.views[0]
    vocabulary = {
        *("Contract", "Entity", "Feature", "FeatureView", "FileSource", "Gate", "Key", "Label"),
        *("Between", "DriftPolicy", "Floor", "Serving", "Tuning", "UseCase"),
    }
    features = [
        _attach_comment(_build_feature(f), declaration.comments.get(f.name, "")) for f in view.features
    ]
    left_out = _describe_omitted_columns(declaration.left_out)
    parts = [
        _render_docstring(use_case, origin),
        "from evergreen.usecase import (\n"
        + "".join(f"    {name},\n" for name in sorted(vocabulary))
        + ")\n",
        _render_assignment("SOURCE", _build_call(FileSource, _get_changed_fields(view.source))),
        "".join(_render_comment(text) for text in left_out)
        + _render_assignment("FACTS", _build_view(view, features)),
        "".join(_render_comment(text) for text in notes)
        + _render_assignment("USE_CASE", _build_use_case(use_case)),
    ]
    return "\n".join(parts)


def quote_text(text: str) -> str:
    """A string literal as ruff writes it: double quotes, unless that takes more escapes."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    characters = []
    for character in text:
        if character in (mark, "\\"):
            characters.append(f"\\{character}")
        else:
            characters.append(character if character.isprintable() else repr(character)[1:-1])
    return f"{mark}{''.join(characters)}{mark}"


def _render_docstring(use_case: UseCase, origin: str) -> str:
    lines = [
        f"{use_case.title}: {origin}",
        "",
        "Everything here was guessed from the table: types, domains (with room beyond what was seen), null",
        'limits. So they only warn (severity="warning"): what lies beyond them is loaded, and answered.',
        "Delete that line where you know the rule, and it is refused. Rows that a column cannot hold go to",
        "the table quarantine, unless they are a larger share of a file than max_rejected_share.",
        "",
        "Read it once, say what each column means, and change what is wrong. When there are tables already,",
        "`evergreen features diff` shows what they lack and `evergreen apply` mends them.",
    ]
    body = "\n".join(_replace_unprintable(line).replace("\\", "\\\\").replace('"""', "'''") for line in lines)
    # A quote before the closing quotes would end the docstring too early.
    return f'"""{body.strip()}\n"""\n'


def _describe_omitted_columns(columns: Sequence[OmittedColumn]) -> list[str]:
    """A line for each reason, with the first columns that it left out."""
    by_reason: dict[str, list[str]] = {}
    for each in columns:
        by_reason.setdefault(each.reason, []).append(f'"{_replace_unprintable(each.column)}"')
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
        lines.append(f"Left out: {', '.join(names[:10])}{more}: {reason}.")
    return lines


def _build_view(view: FeatureView, features: Sequence[_Node]) -> _Node:
    items = [
        ("name", _build_string(view.name)),
        ("source", _Node("SOURCE")),
        ("meaning", _build_string(view.meaning)),
    ]
    if view.event_time:
        items.append(("event_time", _build_string(view.event_time)))
    items.append(("contract", _build_call(Contract, _get_changed_fields(view.contract))))
    items.append(("features", _build_tuple(features, broken=True)))
    return _make_multiline_call("FeatureView", items)


def _build_use_case(use_case: UseCase) -> _Node:
    label = use_case.label
    of_label = [
        ("name", _build_string(label.name)),
        ("source", _Node("SOURCE")),
        ("meaning", _build_string(label.meaning)),
    ]
    if label.classes:
        of_label.append(
            ("classes", _build_tuple([_build_string(name, split=False) for name in label.classes]))
        )
    if label.event_time:
        comment = "If the target is known only later: delay=timedelta(days=30)."
        of_label.append(("event_time", _attach_comment(_build_string(label.event_time), comment)))
    if label.column:
        of_label.append(("column", _build_string(label.column)))
    of_label.append(("contract", _build_call(Contract, _get_changed_fields(label.contract))))
    keys = _build_tuple([_build_call(Key, _get_changed_fields(key)) for key in use_case.entity.keys])
    items = [
        ("name", _build_string(use_case.name)),
        ("title", _build_string(use_case.title)),
        ("meaning", _build_string(use_case.meaning)),
        ("entity", _build_node("Entity", [("", _build_string(use_case.entity.name)), ("", keys)])),
        ("views", _build_tuple([_Node("FACTS")])),
        ("label", _make_multiline_call("Label", of_label)),
        ("split", _build_string(use_case.split)),
        ("tuning", _build_call(Tuning, _get_changed_fields(use_case.tuning))),
        (
            "gate",
            _attach_comment(_build_call(Gate, _get_changed_fields(use_case.gate)), _explain_gate(use_case)),
        ),
        ("drift", _build_call(DriftPolicy, _get_changed_fields(use_case.drift))),
        ("serving", _build_call(Serving, _get_changed_fields(use_case.serving))),
    ]
    return _make_multiline_call("UseCase", items)


def _explain_gate(use_case: UseCase) -> str:
    return (
        "By chance the first model may be this far behind a linear one; further behind, the gate warns. The"
        " floor is what a guess reaches that knows no feature; set the worst"
        f" {use_case.gate.metric} you would accept."
    )


def _build_feature(feature: Feature) -> _Node:
    items = [
        ("", _build_string(feature.name)),
        ("", _build_string(feature.dtype)),
        ("meaning", _build_string(feature.meaning)),
    ]
    items += [
        (name, _build_value(value))
        for name, value in _get_changed_fields(feature)
        if name not in ("name", "dtype", "meaning")
    ]
    return _make_multiline_call("Feature", items)


def _get_changed_fields(instance: object) -> list[Argument]:
    """The fields of a dataclass that differ from their defaults or have none, in order."""
    return [
        (field.name, value)
        for field in fields(instance)  # type: ignore[arg-type]
        if (value := getattr(instance, field.name)) != field.default
    ]


_POSITIONAL = {
    FileSource: ("path",),
    Key: ("name", "dtype", "meaning"),
    Gate: ("metric",),
    Floor: ("metric", "value"),
    Between: ("parameter", "low", "high"),
    Entity: ("name",),
}


def _build_call(kind: type, arguments: Sequence[Argument]) -> _Node:
    """A call of a dataclass, with the arguments by position that people write so."""
    positional = _POSITIONAL.get(kind, ())
    if kind is Gate and all(name != "metric" for name, _ in arguments):
        arguments = [("metric", "accuracy"), *arguments]  # the metric is written even where it is the default
    items = [("" if name in positional else name, _build_value(value)) for name, value in arguments]
    return _build_node(kind.__name__, items)


def _build_value(value: object) -> _Node:
    if isinstance(value, str):
        return _build_string(value)
    if isinstance(value, (Between, Floor)):
        return _build_call(type(value), _get_changed_fields(value))
    if isinstance(value, tuple):
        return _build_tuple(
            [_build_string(v, split=False) if isinstance(v, str) else _build_value(v) for v in value]
        )
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return _Node(str(int(value)))
    return _Node(repr(value).replace("e+", "e"))


def _build_node(name: str, items: Sequence[tuple[str, _Node]]) -> _Node:
    flat = ", ".join(f"{keyword}={node.flat}" if keyword else node.flat for keyword, node in items)
    return _Node(f"{name}({flat})", f"{name}(", tuple(items), ")")


def _make_multiline_call(name: str, items: Sequence[tuple[str, _Node]]) -> _Node:
    """A call that never stands on one line."""
    return _Node("", f"{name}(", tuple(items), ")")


def _build_tuple(items: Sequence[_Node], *, broken: bool = False) -> _Node:
    flat = ", ".join(node.flat for node in items) + ("," if len(items) == 1 else "")
    return _Node("" if broken else f"({flat})", "(", tuple(("", node) for node in items), ")")


def _build_string(text: str, *, split: bool = True) -> _Node:
    literal = quote_text(text)
    pieces = _split_text(text) if split else [text]
    if len(pieces) == 1:
        return _Node(literal)
    return _Node(literal, "(", tuple((_PART, _Node(quote_text(piece))) for piece in pieces), ")")


def _split_text(text: str) -> list[str]:
    """The text in pieces of about a line, cut behind spaces where there are any; joined they are the text."""
    pieces, piece = [], ""
    for word in text.replace(" ", " \0").split("\0"):
        while _measure_width(quote_text(word)) > _PIECE and len(word) > 1:
            pieces += [piece] if piece else []
            fits = next(
                n for n in range(len(word), 0, -1) if n == 1 or _measure_width(quote_text(word[:n])) <= _PIECE
            )
            piece = ""
            pieces.append(word[:fits])
            word = word[fits:]
        if piece and _measure_width(quote_text(piece + word)) > _PIECE:
            pieces.append(piece)
            piece = ""
        piece += word
    return [*pieces, piece] if piece else pieces or [""]


def _attach_comment(node: _Node, comment: str) -> _Node:
    return _Node(node.flat, node.opening, node.items, node.closing, comment)


def _render_assignment(name: str, node: _Node) -> str:
    return f"{_render_comment(node.comment)}{name} = {_lay_out_node(node, 0, len(name) + 3, 0)}\n"


def _lay_out_node(node: _Node, indent: int, before: int, after: int) -> str:
    """The text of a node that starts behind `before` characters in a block `indent` deep."""
    commented = any(_has_comment(item) for _, item in node.items)
    if node.flat and not commented and before + _measure_width(node.flat) + after <= _WIDTH:
        return node.flat
    if not node.items:
        return node.flat
    pad = " " * (indent + 4)
    if node.items[0][0] == _PART and len(pad) + _measure_width(node.flat) <= _WIDTH:
        return f"(\n{pad}{node.flat}\n{' ' * indent})"
    lines = [node.opening]
    for keyword, item in node.items:
        if keyword == _PART:
            lines.append(f"{pad}{item.flat}")
            continue
        lead = f"{pad}{keyword}=" if keyword else pad
        lines += _render_comment(item.comment, indent + 4).splitlines()
        lines.append(f"{lead}{_lay_out_node(item, indent + 4, len(lead), 1)},")
    return "\n".join([*lines, f"{' ' * indent}{node.closing}"])


def _has_comment(node: _Node) -> bool:
    return bool(node.comment) or any(_has_comment(item) for _, item in node.items)


def _render_comment(text: str, indent: int = 0) -> str:
    if not text:
        return ""
    lines = textwrap.wrap(_replace_unprintable(text), _WIDTH - indent - 2, break_on_hyphens=False)
    return "".join(f"{' ' * indent}# {line}\n" for line in lines)


def _replace_unprintable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _measure_width(text: str) -> int:
    """How many columns a text takes: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
