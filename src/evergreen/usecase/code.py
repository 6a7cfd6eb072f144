"""Which code computes an on-demand feature: a model must get from serving what it learned from."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

_LENGTH = 16


def code_version(function: Callable[..., Any]) -> str:
    """A digest of what a function does: its code and that of the functions of its module that it calls.

    Comments, docstrings, annotations and layout do not count. Where the source is not there, the compiled
    code does.
    """
    told = "\n".join(_source(each) for each in _reached(function))
    return hashlib.sha256(told.encode()).hexdigest()[:_LENGTH]


def _reached(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function and the functions of its own module below it, each once, in the order of their names."""
    found: dict[str, Callable[..., Any]] = {}
    waiting = [function]
    while waiting:
        each = waiting.pop()
        if each.__qualname__ in found:
            continue
        found[each.__qualname__] = each
        code = getattr(each, "__code__", None)
        scope = getattr(each, "__globals__", {})
        for name in code.co_names if code else ():
            other = scope.get(name)
            if isinstance(other, FunctionType) and other.__module__ == function.__module__:
                waiting.append(other)
    return [found[name] for name in sorted(found)]


def _source(function: Callable[..., Any]) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)) if code else repr(function)
    return ast.unparse(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    """Functions without what changes no result: docstrings and annotations."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node
