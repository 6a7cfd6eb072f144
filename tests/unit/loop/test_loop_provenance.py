"""What an ingest is recorded with: a digest that heeds what changes rows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import evergreen
from evergreen.loop.provenance import code_version, declaration_digest
from evergreen.usecase import Contract, FeatureView, FileSource, Rule, UseCase


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
    assert declaration_digest(change(toy_use_case)) == declaration_digest(toy_use_case)


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
    digests = [declaration_digest(change(toy_use_case)) for change in changes]
    assert len(set(digests)) == len(changes)


def test_the_code_version_begins_with_evergreens() -> None:
    assert code_version().split("+")[0] == evergreen.__version__
