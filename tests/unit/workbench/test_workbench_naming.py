"""Which texts may name a column, a parameter and a field of a request."""

from __future__ import annotations

import pytest

from evergreen.workbench.declaration.naming import is_usable_name


@pytest.mark.parametrize("name", ["age", "a", "age_2"])
def test_a_plain_name_is_usable(name: str) -> None:
    assert is_usable_name(name)


@pytest.mark.parametrize("name", ["", "Age", "2nd", "class", "event_time", "model_dump", "age\n", "\nage"])
def test_what_has_another_meaning_or_an_end_of_line_is_not(name: str) -> None:
    assert not is_usable_name(name)
