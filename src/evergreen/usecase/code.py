"""Digests of the code that a declared function runs.

On-demand features and rules are Python functions. A digest of their code tells whether a model is served with
the code that it was trained with, and whether rows were checked by the present rules.
"""

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
# Types whose repr is the same in every process.
_PLAIN = (bool, int, float, complex, str, bytes, date, timedelta, type(None))


@cache
def digest_function(function: Callable[..., Any]) -> str:
    """A digest of a function's code and that of the functions of its module that it calls.

    Comments, docstrings, annotations and layout do not count. Where the source cannot be read, the compiled
    code counts. Models carry this digest in their files, so how it is computed must not change. It is
    computed once per process, because the source file may be edited while the process runs the code that it
    loaded.
    """
    sources = "\n".join(map(_read_source, _list_reached_functions(function)))
    return hashlib.sha256(sources.encode()).hexdigest()[:_LENGTH]


def _list_reached_functions(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function, and the functions of its module that it calls directly or indirectly, ordered by name."""
    functions: dict[str, Callable[..., Any]] = {}
    pending = [function]
    while pending:
        current = pending.pop()
        if current.__qualname__ in functions:
            continue
        functions[current.__qualname__] = current
        code = getattr(current, "__code__", None)
        scope = getattr(current, "__globals__", {})
        for name in code.co_names if code else ():
            callee = scope.get(name)
            if isinstance(callee, FunctionType) and callee.__module__ == function.__module__:
                pending.append(callee)
    return [functions[name] for name in sorted(functions)]


def _read_source(function: Callable[..., Any]) -> str:
    """The function's code as normalised source, or its compiled code where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return repr((code.co_code, code.co_consts, code.co_names)) if code else repr(function)
    return ast.unparse(_AnnotationStripper().visit(tree))


class _AnnotationStripper(ast.NodeTransformer):
    """Removes from functions what changes no result: docstrings and annotations."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remove a function's return annotation and docstring."""
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Remove a parameter's annotation."""
        node.annotation = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Remove empty texts from an f-string, which only early releases of Python 3.12 put there."""
        self.generic_visit(node)
        node.values = [
            part for part in node.values if not (isinstance(part, ast.Constant) and not part.value)
        ]
        return node


@cache
def digest_reachable_code(function: Callable[..., Any]) -> str:
    """SHA-256 of a function's code and all that it reaches.

    Beyond `digest_function` it covers calls inside comprehensions and inner functions, functions of other
    modules of the package, and the plain constants that they read. It is the same on every supported Python,
    and computed once per process.
    """
    functions: dict[str, Callable[..., Any]] = {}
    constants: dict[str, str] = {}
    pending = [function]
    while pending:
        current = pending.pop()
        # Names of the function's own module have no prefix, so that the name of its folder does not count.
        is_own = current.__module__ == function.__module__
        module = "" if is_own else current.__module__.rpartition(".")[2] + "."
        if (qualified_name := module + current.__qualname__) in functions:
            continue
        functions[qualified_name] = current
        for name, value in _read_globals(current):
            if isinstance(value, FunctionType) and _is_same_package(value, function):
                pending.append(value)
            elif (text := describe_constant(value)) is not None:
                constants[module + name] = text
    lines = [_describe_syntax(functions[name]) for name in sorted(functions)]
    lines += [f"{name}={constants[name]}" for name in sorted(constants)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def describe_constant(value: object) -> str | None:
    """Plain data as text that is the same in every process; None for anything else."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, re.Pattern):
        return f"pattern({value.pattern!r}, {value.flags})"
    if isinstance(value, dict):
        items = [(describe_constant(key), describe_constant(member)) for key, member in value.items()]
        parts = [None if key is None or member is None else f"{key}: {member}" for key, member in items]
    elif isinstance(value, (list, tuple)):
        parts = [describe_constant(item) for item in value]
    elif isinstance(value, (set, frozenset)):
        parts = [describe_constant(item) for item in value]
        parts.sort(key=str)  # a set has no order
    else:
        return None
    return None if None in parts else f"{type(value).__name__}({', '.join(map(str, parts))})"


def _is_same_package(candidate: FunctionType, root: Callable[..., Any]) -> bool:
    """Whether a function is of the same module as `root`, or of another module of its package."""
    package = candidate.__globals__.get("__package__")
    is_sibling = package and package == getattr(root, "__globals__", {}).get("__package__")
    return candidate.__module__ == root.__module__ or bool(is_sibling)


def _read_globals(function: Callable[..., Any]) -> Iterator[tuple[str, object]]:
    """The globals that a function's code reads, with their values; of a module among them also the attributes
    that the code reads, as `helpers.ratio`."""
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    names = list(_list_global_names(code)) if code else []
    for name in names:
        if name not in scope:
            continue
        yield name, scope[name]
        if isinstance(scope[name], ModuleType):
            attributes = vars(scope[name])
            yield from ((f"{name}.{member}", attributes[member]) for member in names if member in attributes)


def _list_global_names(code: CodeType) -> Iterator[str]:
    """The names that a function's code and the code inside it look up. Python 3.11 compiles a comprehension
    as a function inside the code, 3.12 as a part of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_global_names(constant)


def _describe_syntax(function: Callable[..., Any]) -> str:
    """The function's syntax tree as text, or its compiled code where there is no source."""
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
    """A syntax tree as text. Empty fields are left out, because newer Pythons have more of them."""
    if isinstance(node, list):
        return f"[{', '.join(map(_format_syntax, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    return f"{type(node).__name__}({', '.join(f'{name}={_format_syntax(value)}' for name, value in fields)})"
