"""Functions as declarations: what is declared says itself what it is called, needs and means."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


class FromFunction:
    """Something that a function defines: by its name, its parameters and its docstring's first line."""

    function: Callable[..., Any]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)

    @property
    def meaning(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]
