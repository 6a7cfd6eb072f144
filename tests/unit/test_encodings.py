"""Text files and the output of programs are UTF-8 by our own word, whatever the locale says.

ruff's PLW1514 finds what it knows to be a `Path` or the built-in `open`; here the methods count by name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "dags", "benchmarks", "load_tests", "scripts")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
# How many positional arguments a call has when the encoding is the last of them.
TEXT_METHODS = {"read_text": 1, "write_text": 2}


def calls_without_encoding(source: str) -> Iterator[int]:
    """The lines of calls whose text is in the encoding of the locale."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if "encoding" in keywords or None in keywords:
            continue
        if name in TEXT_METHODS:
            follows_locale = len(node.args) < TEXT_METHODS[name]
        elif name == "fdopen":
            mode = node.args[1] if len(node.args) > 1 else keywords.get("mode", ast.Constant("r"))
            follows_locale = isinstance(mode, ast.Constant) and "b" not in str(mode.value)
        else:
            values = (keywords.get("text"), keywords.get("universal_newlines"))
            follows_locale = any(isinstance(value, ast.Constant) and value.value is True for value in values)
        if follows_locale:
            yield node.lineno


def test_no_text_is_in_the_encoding_of_the_locale() -> None:
    assert len(FILES) > 200
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for line in calls_without_encoding(path.read_text("utf-8"))
    ]
    assert places == []


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("path.read_text()", [1]),
        ("path.read_text('utf-8')", []),
        ("path.write_text(text)", [1]),
        ("path.write_text(text, encoding='utf-8')", []),
        ("os.fdopen(fd, 'w')", [1]),
        ("os.fdopen(fd)", [1]),
        ("os.fdopen(fd, 'wb')", []),
        ("subprocess.run(command, text=True)", [1]),
        ("subprocess.run(command, text=True, encoding='utf-8')", []),
        ("subprocess.run(command)", []),
        ("Spinner(text='training')", []),
    ],
)
def test_what_counts_as_such(call: str, lines: list[int]) -> None:
    assert list(calls_without_encoding(call)) == lines
