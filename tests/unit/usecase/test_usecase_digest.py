"""Digests of a declaration: each heeds what its reader heeds, and nothing else."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evergreen.usecase import (
    Contract,
    FeatureSet,
    FeatureView,
    FileSource,
    OnDemandFeature,
    Rule,
    Schedules,
    Serving,
    UseCase,
)
from evergreen.usecase.code import digest_function, digest_reachable_code
from evergreen.usecase.digest import compute_ingest_digest, compute_serving_digest
from support import digest_example


def young(age: Any) -> Any:
    """Not older than 50."""
    return age <= 50


def old(age: Any) -> Any:
    """Not older than 50."""
    return age <= 80


def with_view(use_case: UseCase, **changes: Any) -> UseCase:
    return replace(use_case, views=(replace(use_case.views[0], **changes),))


def with_rule(function: Callable[..., Any]) -> Callable[[UseCase], UseCase]:
    return lambda use_case: with_view(use_case, contract=Contract(rules=(Rule(function),)))


def with_age(view: FeatureView, **changes: Any) -> dict[str, Any]:
    return {"features": (replace(view.features[0], **changes), *view.features[1:])}


@pytest.mark.parametrize(
    "change",
    [
        lambda u: with_view(u, meaning="Other words."),
        lambda u: with_view(u, max_age=timedelta(days=3)),
        lambda u: with_view(u, **with_age(u.views[0], meaning="Years", used_by_model=False)),
        lambda u: replace(u, title="Other words", holdout_share=0.5),
    ],
)
def test_words_and_what_only_readers_heed_change_nothing(
    toy_use_case: UseCase, change: Callable[[UseCase], UseCase]
) -> None:
    assert compute_ingest_digest(change(toy_use_case)) == compute_ingest_digest(toy_use_case)


def test_what_decides_on_rows_changes_the_digest(toy_use_case: UseCase) -> None:
    changes: list[Callable[[UseCase], UseCase]] = [
        lambda u: u,
        lambda u: with_view(u, **with_age(u.views[0], maximum=99)),
        lambda u: with_view(u, **with_age(u.views[0], column="AGE")),
        lambda u: with_view(u, event_time="day"),
        lambda u: with_view(u, source=FileSource("toy.csv", delimiter=";")),
        lambda u: with_view(u, contract=Contract(max_rejected_share=0.1)),
        with_rule(young),
        with_rule(old),
        lambda u: replace(u, label=replace(u.label, delay=timedelta(days=1))),
    ]
    digests = [compute_ingest_digest(change(toy_use_case)) for change in changes]
    assert len(set(digests)) == len(changes)


def doubled(spend: Any, visits: Any) -> Any:
    """Money spent per visit, twice."""
    return 2 * spend / visits


doubled.__name__ = "spend_per_visit"


@pytest.mark.parametrize(
    "change",
    [
        lambda u: replace(u, title="Other words", meaning="More of them.", holdout_share=0.5),
        lambda u: with_view(u, meaning="Other words.", source=FileSource("toy.csv", delimiter=";")),
        lambda u: with_view(u, **with_age(u.views[0], meaning="Years", column="AGE", unique=True)),
        lambda u: with_view(u, contract=Contract(max_rejected_share=0.1, rules=(Rule(young),))),
        lambda u: replace(u, schedules=Schedules(ingest=None), serving=replace(u.serving, port=4711)),
        lambda u: with_view(
            u, features=tuple(replace(f, max_null_share=f.max_null_share / 2) for f in u.views[0].features)
        ),
    ],
)
def test_what_no_service_heeds_makes_none_lag(
    toy_use_case: UseCase, change: Callable[[UseCase], UseCase]
) -> None:
    assert compute_serving_digest(change(toy_use_case)) == compute_serving_digest(toy_use_case)


def test_what_a_service_answers_by_changes_its_digest(toy_use_case: UseCase) -> None:
    changes: list[Callable[[UseCase], UseCase]] = [
        lambda u: u,
        lambda u: with_view(u, **with_age(u.views[0], maximum=99)),
        lambda u: with_view(u, **with_age(u.views[0], dtype="float")),
        lambda u: with_view(u, **with_age(u.views[0], used_by_model=False)),
        lambda u: with_view(u, **with_age(u.views[0], max_null_share=0.9)),
        lambda u: with_view(u, features=u.views[0].features[1:] + u.views[0].features[:1]),
        lambda u: with_view(u, max_age=timedelta(days=3)),
        lambda u: replace(u, label=replace(u.label, classes=("yes", "no"))),
        lambda u: replace(u, on_demand=(OnDemandFeature(doubled),)),
        lambda u: replace(u, serving=Serving(max_batch=7)),
        lambda u: replace(u, feature_sets=(FeatureSet("few", ("age",), "One"),), model_set="few"),
    ]
    digests = [compute_serving_digest(change(toy_use_case)) for change in changes]
    assert len(set(digests)) == len(changes)


def test_the_digest_of_code_is_the_same_on_every_python() -> None:
    assert (
        digest_reachable_code(digest_example.example)
        == "b150b05df12a2722b8bb151e2fb83edf520f7415a0793984c1e3a6afef7a09a6"
    )


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("# A comment.", "# Another comment.", True),
        ('"""The first line."""', '"""Other words."""', True),
        ("def helper(text: str) -> str:", "def helper(text):", True),
        ('WORD = re.compile(r"\\w+")', 'WORD = re.compile(r"\\w+", re.I)', False),
        ('"low": 1.5', '"low": 1.6', False),
        ('{"a", "b", "c"}', '{"c", "b", "a"}', True),
        ('{"a", "b", "c"}', '{"a", "b"}', False),
        ('else "\\t"', 'else "\\n"', False),
    ],
)
def test_helpers_and_constants_are_code_too_and_words_are_not(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    text = Path(digest_example.__file__).read_text("utf-8")
    assert before in text
    changed = tmp_path / "changed_example.py"
    changed.write_text(text.replace(before, after))
    spec = importlib.util.spec_from_file_location("changed_example", changed)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (digest_reachable_code(module.example) == digest_reachable_code(digest_example.example)) is same


def test_a_function_keeps_its_digest_when_its_file_is_edited_under_a_running_process(tmp_path: Path) -> None:
    file = tmp_path / "edited_example.py"
    file.write_text("def spend(age):\n    return age + 1\n")
    spec = importlib.util.spec_from_file_location("edited_example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for digest in (digest_reachable_code, digest_function):
        loaded = digest(module.spend)
        file.write_text("def spend(age):\n    return age + 100\n")
        linecache.checkcache(str(file))
        assert digest(module.spend) == loaded
        file.write_text("def spend(age):\n    return age + 1\n")


@pytest.mark.parametrize("call", ["from .helpers import ratio\n", "from . import helpers\n"])
def test_functions_and_constants_of_other_modules_of_the_use_case_count(tmp_path: Path, call: str) -> None:
    name = "ratio" if "ratio" in call else "helpers.ratio"
    digests = []
    for limit, body in ((1, "a / LIMIT"), (2, "a / LIMIT"), (1, "LIMIT / a"), (1, "a / LIMIT  # the same")):
        folder = tmp_path / f"shop{len(digests)}"
        folder.mkdir()
        (folder / "helpers.py").write_text(f"LIMIT = {limit}\n\ndef ratio(a):\n    return {body}\n", "utf-8")
        (folder / "__init__.py").write_text(f"{call}\ndef spend(age):\n    return {name}(age)\n", "utf-8")
        digests.append(digest_reachable_code(package(folder).spend))
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3


def package(folder: Path) -> Any:
    """A use case's folder, loaded as discovery loads it."""
    spec = importlib.util.spec_from_file_location(
        f"tested_{folder.name}", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        for loaded in [each for each in sys.modules if each.partition(".")[0] == spec.name]:
            del sys.modules[loaded]
    return module
