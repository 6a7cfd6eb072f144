"""A declaration may not take the place of a table or column that Evergreen adds itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import RESERVED_COLUMNS, Feature, UseCase


@pytest.mark.parametrize("name", sorted(RESERVED_COLUMNS))
def test_reserved_columns_are_refused(toy_use_case: UseCase, name: str) -> None:
    view = replace(
        toy_use_case.views[0], features=(*toy_use_case.views[0].features, Feature(name, "int", ""))
    )
    with pytest.raises(UseCaseError, match=f"reserved name {name}"):
        replace(toy_use_case, views=(view,))


@pytest.mark.parametrize("name", ["label", "prediction"])
def test_reserved_views_are_refused(toy_use_case: UseCase, name: str) -> None:
    with pytest.raises(UseCaseError, match=name):
        replace(toy_use_case, views=(replace(toy_use_case.views[0], name=name),))


def test_two_views_of_one_name_are_refused(toy_use_case: UseCase) -> None:
    other = replace(toy_use_case.views[0], features=(Feature("height", "int", ""),))
    with pytest.raises(UseCaseError, match="facts"):
        replace(toy_use_case, views=(toy_use_case.views[0], other))


def test_table_names_must_fit_mariadb(toy_use_case: UseCase) -> None:
    replace(toy_use_case, name="a" * 48)
    with pytest.raises(UseCaseError, match="longer than 64"):
        replace(toy_use_case, name="a" * 48, views=(replace(toy_use_case.views[0], name="b" * 8),))
