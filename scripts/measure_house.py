"""Measure the layout and the language of the package: `make measure-house`.

Prints each figure beside its target and writes benchmarks/out/house.json. The figures are symptoms: a rename
that only moves a count makes nothing clearer. Standard library only.

Definitions
- one_word_functions: share of the public functions at the top level of a module whose name has no
  underscore.
- participle_variables: share of the names bound by assignment, for, with or walrus inside functions that
  are a bare participle or past tense (`_PARTICIPLE`).
- function_level_imports: import statements inside functions, a module's `__getattr__` apart, and calls of
  `import_module` there.
- any_documents: lines with a dict, Mapping or MutableMapping of str to Any or object, and lines with the
  name of an alias of one: a module-level one of the same module, or one that was imported from another
  module of the package, also by several imports or under another name. The import itself does not count.
- fullest_folder: the greatest number of modules directly in one folder, `__init__` apart.
- longest_file, median_file: lines.
- docstrings: share of the public functions, methods and classes that have one.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "evergreen"
OUTPUT = ROOT / "benchmarks" / "out" / "house.json"

_PARTICIPLE = re.compile(
    r"added|answered|asked|begun|brought|built|caught|chosen|come|counted|cut|done|drawn|"
    r"felt|fitted|forgotten|found|gathered|given|gone|gotten|grown|heard|held|hidden|"
    r"judged|kept|known|laid|led|left|let|lifted|listed|loaded|logged|looked|lost|made|"
    r"matched|meant|measured|mended|met|missed|moved|named|noted|opened|ordered|packed|"
    r"paid|parsed|parted|passed|picked|placed|planned|pulled|pushed|put|raised|reached|"
    r"read_back|recorded|refused|rejected|replaced|returned|run_on|said|saved|searched|seen|"
    r"sent|served|set_apart|settled|shared|shown|skipped|sorted_out|sought|spilled|split_up|"
    r"spoken|staged|stopped|stored|taken|taught|thought|thrown|timed|told|tried|tuned|"
    r"turned|used|waited|wanted|watched|won|written"
)
_DOCUMENT = re.compile(r"\b(?:[dD]ict|(?:Mutable)?Mapping)\[\s*str\s*,\s*(?:Any|object)\s*\]")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# What each figure should reach: at most, or at least.
TARGETS: dict[str, tuple[str, float]] = {
    "one_word_functions": ("<=", 0.20),
    "participle_variables": ("<=", 0.01),
    "function_level_imports": ("<=", 80),
    "any_documents": ("<=", 100),
    "fullest_folder": ("<=", 14),
    "longest_file": ("<=", 350),
    "docstrings": (">=", 0.95),
}


@dataclass(frozen=True)
class Module:
    """One module of the package: its dotted name, and its source as lines and as a tree."""

    name: str
    path: Path
    lines: Sequence[str]
    tree: ast.Module


@dataclass
class Count:
    """What was counted in one module, or in all of them together."""

    public_functions: int = 0
    one_word_functions: int = 0
    bound_names: int = 0
    participle_variables: int = 0
    function_level_imports: int = 0
    any_documents: int = 0
    describable: int = 0
    described: int = 0
    lengths: list[int] = field(default_factory=list)
    modules_by_folder: Counter[str] = field(default_factory=Counter)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", nargs="?", type=Path, default=PACKAGE, help="a package's folder")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes")
    options = parser.parse_args()
    figures = measure_package(options.package)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(format_table(figures) + "\n")


def measure_package(package: Path) -> dict[str, float]:
    """The figures of every module of a package, by their names. Raises SystemExit where there is none."""
    paths = sorted(package.rglob("*.py"))
    if not paths:
        raise SystemExit(f"{package} holds no Python file; name a package's folder")
    count = Count()
    modules = [parse_module(path, package) for path in paths]
    aliases = find_document_aliases(modules)
    for module in modules:
        count_module(module, aliases[module.name], count)
    return {
        "one_word_functions": _share(count.one_word_functions, count.public_functions),
        "participle_variables": _share(count.participle_variables, count.bound_names),
        "function_level_imports": count.function_level_imports,
        "any_documents": count.any_documents,
        "fullest_folder": max(count.modules_by_folder.values(), default=0),
        "longest_file": max(count.lengths),
        "median_file": statistics.median(count.lengths),
        "docstrings": _share(count.described, count.describable),
        "files": len(paths),
        "lines": sum(count.lengths),
    }


def parse_module(path: Path, package: Path) -> Module:
    """The module of a file, with the name that it is imported by."""
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(package.parent).with_suffix("").parts
    return Module(
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path, text.splitlines(), ast.parse(text)
    )


def find_document_aliases(modules: Sequence[Module]) -> dict[str, set[str]]:
    """By module the names there that stand for a dict or Mapping of str to Any or object: those that it
    defines, from the type itself or from another alias, and those that it imports from another module."""
    aliases: dict[str, set[str]] = {module.name: set() for module in modules}
    is_complete = False
    while not is_complete:
        is_complete = True
        for module in modules:
            names = {*_aliases_defined_in(module, aliases), *_aliases_imported_by(module, aliases)}
            if not names <= aliases[module.name]:
                aliases[module.name] |= names
                is_complete = False
    return aliases


def count_module(module: Module, aliases: set[str], count: Count) -> None:
    """Add one module's counts to `count`; `aliases` are its names of documents."""
    path, tree = module.path, module.tree
    count.lengths.append(len(module.lines))
    if path.name != "__init__.py":
        count.modules_by_folder[str(path.parent)] += 1
    for node in tree.body:
        if isinstance(node, _FUNCTIONS) and not node.name.startswith("_"):
            count.public_functions += 1
            count.one_word_functions += "_" not in node.name
    count.any_documents += _count_documents(module, aliases)
    for node in _nodes_in_functions(tree):
        count.function_level_imports += _is_import(node)
        for name in _names_bound_by(node):
            count.bound_names += 1
            count.participle_variables += _PARTICIPLE.fullmatch(name.strip("_")) is not None
    for node in ast.walk(tree):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            count.describable += 1
            count.described += ast.get_docstring(node) is not None


def format_table(figures: dict[str, float]) -> str:
    """The figures as a table with their targets, and whether each is met."""
    rows = [f"{'figure':<24}{'measured':>10}  target"]
    for name, value in figures.items():
        relation, bound = TARGETS.get(name, ("", 0.0))
        target = ""
        if relation:
            is_met = value <= bound if relation == "<=" else value >= bound
            target = f"{relation} {bound:g}  {'met' if is_met else 'not met'}"
        rows.append(f"{name:<24}{value:>10g}  {target}".rstrip())
    return "\n".join(rows)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _count_documents(module: Module, aliases: set[str]) -> int:
    imports = {
        number
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    pattern = _build_document_pattern(aliases)
    return sum(
        pattern.search(line) is not None
        for number, line in enumerate(module.lines, start=1)
        if number not in imports
    )


def _aliases_defined_in(module: Module, aliases: Mapping[str, set[str]]) -> Iterator[str]:
    pattern = _build_document_pattern(aliases[module.name])
    for node in module.tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else "TypeAlias"
            if "TypeAlias" in annotation and pattern.search(ast.unparse(node.value)):
                yield from _names_bound_by(node)


def _aliases_imported_by(module: Module, aliases: Mapping[str, set[str]]) -> Iterator[str]:
    """The names of aliases that a module imports: `JsonObject`, or `columns.JsonObject` of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            source = _resolve_source(node, module)
            for each in node.names:
                name = each.asname or each.name
                if each.name in aliases.get(source, ()):
                    yield name
                for alias in aliases.get(f"{source}.{each.name}", ()):
                    if "." not in alias:
                        yield f"{name}.{alias}"


def _resolve_source(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    folders = module.name.split(".") + ["__init__"] * (module.path.name == "__init__.py")
    return ".".join([*folders[: len(folders) - node.level], *([node.module] if node.module else [])])


def _build_document_pattern(aliases: Iterable[str]) -> re.Pattern[str]:
    names = (rf"\b{re.escape(alias)}\b" for alias in sorted(aliases))
    return re.compile("|".join([_DOCUMENT.pattern, *names]))


def _nodes_in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node inside a function, once, whatever the functions are nested in; `__getattr__` apart."""
    visited_ids: set[int] = set()
    for function in ast.walk(tree):
        if isinstance(function, _FUNCTIONS):
            lazy_module = function.name == "__getattr__"
            for node in ast.walk(function):
                if id(node) not in visited_ids:
                    visited_ids.add(id(node))
                    if not (lazy_module and isinstance(node, (ast.Import, ast.ImportFrom))):
                        yield node


def _is_import(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return "import_module" in ast.unparse(node.func)
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _names_bound_by(node: ast.AST) -> Iterator[str]:
    targets: list[ast.AST] = []
    if isinstance(node, ast.Assign):
        targets += node.targets
    elif isinstance(node, (ast.AnnAssign, ast.For, ast.AsyncFor, ast.NamedExpr)):
        targets.append(node.target)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        targets.append(node.optional_vars)
    for target in targets:
        for name in ast.walk(target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                yield name.id


if __name__ == "__main__":
    main()
