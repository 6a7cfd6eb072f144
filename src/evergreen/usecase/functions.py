"""Declarations made of a function: its name, parameters and docstring are the declared name, inputs and
meaning."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any


class FromFunction:
    """The base of declarations that a function defines (on-demand features and rules)."""

    function: Callable[..., Any]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The function's parameters: the names of the columns that it needs."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def meaning(self) -> str:
        """The first line of the function's docstring, "" without one."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]
