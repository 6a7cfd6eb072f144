"""The figures of scripts/measure_house.py: which lines count as documents without a type."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "measure_house.py"


@pytest.fixture(scope="module")
def measure_house() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("measure_house", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def count_documents(tmp_path: Path, measure_house: ModuleType) -> Callable[..., float]:
    """The figure `any_documents` of a package `house` with the given modules, source text by file."""

    def count(**modules: str) -> float:
        package = tmp_path / "house"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, text in modules.items():
            (package / f"{name}.py").write_text(text)
        figures: dict[str, float] = measure_house.measure_package(package)
        return figures["any_documents"]

    return count


COLUMNS = "JsonObject = Mapping[str, Any]\n"


def test_an_alias_counts_where_another_module_imports_it(count_documents: Callable[..., float]) -> None:
    rows = "from house.columns import JsonObject\n\ndef read() -> JsonObject: ...\n"
    assert count_documents(columns=COLUMNS, rows=rows) == 2  # its definition and its use, not the import


def test_an_alias_counts_through_other_modules_and_names(count_documents: Callable[..., float]) -> None:
    middle = "from .columns import JsonObject as Document\nDocuments = list[Document]\n"
    rows = (
        "if TYPE_CHECKING:\n    from house.middle import Documents as Papers\n"
        "papers: Papers\nother: Documents\n"
    )
    # Of `rows` only what it imported: `Documents` is no name there.
    assert count_documents(columns=COLUMNS, middle=middle, rows=rows) == 3


def test_an_alias_counts_behind_its_module(count_documents: Callable[..., float]) -> None:
    rows = "from house import columns\n\nrow: columns.JsonObject\nother: paths.JsonObject\n"
    assert count_documents(columns=COLUMNS, rows=rows) == 2


def test_an_alias_of_the_same_name_without_any_does_not_count(count_documents: Callable[..., float]) -> None:
    documents = "JsonObject = dict[str, Json]\n"
    rows = "from house.documents import JsonObject\n\ndef read() -> JsonObject: ...\n"
    assert count_documents(columns=COLUMNS, documents=documents, rows=rows) == 1
