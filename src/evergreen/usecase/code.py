"""Which code a declared function runs: a model must get from serving what it learned from."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

_LENGTH = 16
# What is written out by its repr, which is the same in every process.
_PLAIN = (bool, int, float, complex, str, bytes, date, timedelta, type(None))


@cache
def digest_function(function: Callable[..., Any]) -> str:
    """A digest of what a function does: its code and that of the functions of its module that it calls.

    Comments, docstrings, annotations and layout do not count. Where the source is not there, the compiled
    code does. Models carry this digest in their files, so that it must not change. It is taken once per
    process: the source file may be edited while the process goes on with what it loaded.
    """
    told = "\n".join(_read_source(each) for each in _list_reached_functions(function))
    return hashlib.sha256(told.encode()).hexdigest()[:_LENGTH]


def _list_reached_functions(function: Callable[..., Any]) -> list[Callable[..., Any]]:
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


def _read_source(function: Callable[..., Any]) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)) if code else repr(function)
    return ast.unparse(_AnnotationStripper().visit(tree))


class _AnnotationStripper(ast.NodeTransformer):
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

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        # Early releases of Python 3.12 put empty texts into an f-string.
        node.values = [
            part for part in node.values if not (isinstance(part, ast.Constant) and not part.value)
        ]
        return node


@cache
def digest_reachable_code(function: Callable[..., Any]) -> str:
    """SHA-256 of what a function does: like `digest_function`, and also of what is called inside
    comprehensions and inner functions, of functions of its package's other modules, and of the plain
    constants that they read.

    The same on every supported Python. It is taken once per process, as `digest_function` is.
    """
    reached: dict[str, Callable[..., Any]] = {}
    constants: dict[str, str] = {}
    waiting = [function]
    while waiting:
        each = waiting.pop()
        # Names of the function's own module stand alone, so that a folder's name does not count.
        module = "" if each.__module__ == function.__module__ else each.__module__.rpartition(".")[2] + "."
        if (place := module + each.__qualname__) in reached:
            continue
        reached[place] = each
        for name, value in _read_globals(each):
            if isinstance(value, FunctionType) and _is_same_package(value, function):
                waiting.append(value)
            elif (text := describe_constant(value)) is not None:
                constants[module + name] = text
    lines = [_describe_syntax(reached[name]) for name in sorted(reached)]
    lines += [f"{name}={constants[name]}" for name in sorted(constants)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def describe_constant(value: object) -> str | None:
    """Plain data as text that is the same in every process; None for anything else."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, re.Pattern):
        return f"pattern({value.pattern!r}, {value.flags})"
    if isinstance(value, dict):
        items = [(describe_constant(k), describe_constant(v)) for k, v in value.items()]
        parts = [None if k is None or v is None else f"{k}: {v}" for k, v in items]
    elif isinstance(value, (list, tuple)):
        parts = [describe_constant(each) for each in value]
    elif isinstance(value, (set, frozenset)):
        parts = [describe_constant(each) for each in value]
        parts.sort(key=str)  # a set has no order
    else:
        return None
    return None if None in parts else f"{type(value).__name__}({', '.join(map(str, parts))})"


def _is_same_package(one: FunctionType, other: Callable[..., Any]) -> bool:
    package = one.__globals__.get("__package__")
    beside = package and package == getattr(other, "__globals__", {}).get("__package__")
    return one.__module__ == other.__module__ or bool(beside)


def _read_globals(function: Callable[..., Any]) -> Iterator[tuple[str, object]]:
    """What a function's code reads of its module: names with their values, and of other modules that it
    names the attributes, as in `helpers.ratio`."""
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    names = list(_list_global_names(code)) if code else []
    for name in names:
        if name not in scope:
            continue
        yield name, scope[name]
        if isinstance(scope[name], ModuleType):
            attributes = vars(scope[name])
            yield from ((f"{name}.{each}", attributes[each]) for each in names if each in attributes)


def _list_global_names(code: CodeType) -> Iterator[str]:
    """The names that a function's code looks up, and the code inside it: Python 3.11 compiles a comprehension
    as a function of its own, 3.12 does not."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_global_names(constant)


def _describe_syntax(function: Callable[..., Any]) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return (
            _describe_bytecode(code) if code else f"{type(function).__module__}.{type(function).__qualname__}"
        )
    return _format_syntax(_AnnotationStripper().visit(tree))


def _describe_bytecode(code: CodeType) -> str:
    constants = [_describe_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code, constants, code.co_names))


def _format_syntax(node: object) -> str:
    """A syntax tree as text. Empty fields are left out: newer Pythons have more of them."""
    if isinstance(node, list):
        return f"[{', '.join(map(_format_syntax, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    return f"{type(node).__name__}({', '.join(f'{name}={_format_syntax(value)}' for name, value in fields)})"
