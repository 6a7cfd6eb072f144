"""Only the succession changes who is champion or challenger: in MLflow, and through its module of aliases."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUCCESSION = ROOT / "src" / "evergreen" / "registry" / "succession"
ALIASES = "evergreen.registry.succession.aliases"
# Methods of MLflow's client after which an alias points elsewhere, or nowhere.
ALIAS_METHODS = {"set_registered_model_alias", "delete_registered_model_alias", "delete_registered_model"}

# Names the champion of a registry of its own, which ends with it, as the tests do.
OWN_REGISTRY = {
    "benchmarks/serving/world.py",
    "benchmarks/chaos/stand.py",
    "benchmarks/common/mlflow_front.py",
    "benchmarks/chaos/faults/mlflow_down.py",
}


def read_imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a module imports, at its top or in its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def find_offences(source: str) -> set[str]:
    tree = ast.parse(source)
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in read_imports(tree) if name.startswith(ALIASES)} | (attributes & ALIAS_METHODS)


@pytest.mark.parametrize("folder", ["src", "dags", "scripts", "benchmarks", "load_tests"])
def test_nobody_else_moves_an_alias(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if SUCCESSION not in path.parents]
    assert files
    offences = {
        str(path.relative_to(ROOT)): names
        for path in files
        if (names := find_offences(path.read_text("utf-8")))
        and str(path.relative_to(ROOT)) not in OWN_REGISTRY
    }
    assert offences == {}


@pytest.mark.parametrize(
    "source",
    [
        "from evergreen.registry.succession import aliases",
        "from evergreen.registry.succession.aliases import set_champion",
        "import evergreen.registry.succession.aliases as a",
        "def f(client):\n    client.set_registered_model_alias('toy', 'champion', '1')",
    ],
)
def test_the_check_sees_every_way(source: str) -> None:
    assert find_offences(source)
