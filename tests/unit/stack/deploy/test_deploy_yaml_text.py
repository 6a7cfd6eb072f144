"""YAML with comments and anchors: what a reader of YAML makes of it is what was meant."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evergreen.stack.deploy.yaml_text import Anchored, Commented, merge_anchors, render_yaml

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" \n\t"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda values: (
        st.lists(TEXTS | st.booleans() | st.integers()) | st.dictionaries(st.just("a") | st.just("b"), values)
    ),
    max_leaves=12,
)


# Texts that YAML reads as something else, or not at all, without quotes.
TEXTS_LIKE_OTHERS = [
    "",
    "on",
    "No",
    "null",
    "3306",
    "5s",
    "512m",
    "1e5",
    "0x1f",
    "1:30",
    "--flag=+00:00",
    "- a",
    "a: b",
    "a #b",
    "${A:-}",
    "${A:?run `make env` first}",
    "{}",
    "[a]",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a`",
    "a:",
    '{"a": 1}',
    "it's",
    'say "it\'s"',
    "2026-01-01",
    "=",
    "<<",
    "~",
    ".5",
    "1_000",
    "-1",
    "--1",
    "-.5",
    ".inf",
    "y",
]


@given(st.dictionaries(st.sampled_from(["name", "services", "x-own"]), VALUES))
def test_values_are_read_back_as_they_were(document: dict[str, Any]) -> None:
    assert yaml.safe_load(render_yaml(document)) == (document or None)


@pytest.mark.parametrize(
    "text",
    TEXTS_LIKE_OTHERS,
)
def test_a_text_stays_a_text(text: str) -> None:
    written = render_yaml({"value": text, "list": [text, text * 60]})
    assert yaml.safe_load(written) == {"value": text, "list": [text, text * 60]}


def test_anchors_are_taken_over_and_comments_stand_before_their_value() -> None:
    written = render_yaml(
        {
            "x-base": Anchored("base", {"image": "a:1", "restart": "no"}),
            "services": {"one": Commented("Why\nand how.", {**merge_anchors("base"), "restart": "always"})},
        }
    )
    assert "x-base: &base\n" in written
    assert "  # Why\n  # and how.\n  one:\n    <<: *base\n" in written
    assert yaml.safe_load(written)["services"] == {"one": {"image": "a:1", "restart": "always"}}
