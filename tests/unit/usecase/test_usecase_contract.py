"""What a declaration says of contracts, feature sets and ages is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import (
    ROW_NUMBER,
    Contract,
    FeatureSet,
    Key,
    Reference,
    RowCount,
    Rule,
    SqlSource,
    UseCase,
)


def spends_when_visiting(visits, spend):
    """Who spends has visited."""
    return (visits > 0) | ~(spend > 0)


def needs_a_stranger(visits, spent):
    """Needs a column that is not there."""
    return visits > spent


def _with(use_case: UseCase, **changes: object) -> UseCase:
    return replace(use_case, views=(replace(use_case.views[0], **changes),))  # type: ignore[arg-type]


def test_a_rule_is_named_and_explained_by_its_function() -> None:
    rule = Rule(spends_when_visiting)
    assert (rule.name, rule.inputs, rule.meaning, rule.severity) == (
        "spends_when_visiting",
        ("visits", "spend"),
        "Who spends has visited.",
        "error",
    )


def test_a_rule_of_unknown_columns_is_refused_with_the_nearest_name(toy_use_case: UseCase) -> None:
    _with(toy_use_case, contract=Contract(rules=(Rule(spends_when_visiting),)))
    with pytest.raises(UseCaseError, match="did you mean 'spend'") as caught:
        _with(toy_use_case, contract=Contract(rules=(Rule(needs_a_stranger),)))
    assert "facts does not have" in str(caught.value)


@pytest.mark.parametrize("view", ["facts", "nobody"])
def test_a_reference_leads_to_another_view(toy_use_case: UseCase, view: str) -> None:
    with pytest.raises(UseCaseError, match="refers to the view"):
        _with(toy_use_case, contract=Contract(references=(Reference(view),)))


def test_a_label_may_refer_to_a_view(toy_use_case: UseCase) -> None:
    label = replace(toy_use_case.label, contract=Contract(references=(Reference("facts"),)))
    assert replace(toy_use_case, label=label).label.contract.references[0].view == "facts"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Contract(max_rejected_share=1.5),
        lambda: Contract(max_rejected_share=-0.1),
        lambda: RowCount(least=2.0, most=1.0),
        lambda: RowCount(least=-1.0),
        lambda: FeatureSet("small", (), "Nothing."),
        lambda: FeatureSet("small", ("age", "age"), "Twice the same."),
    ],
)
def test_limits_that_allow_nothing_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UseCaseError):
        make()


def test_the_model_is_given_the_chosen_set_in_its_order(toy_use_case: UseCase) -> None:
    small = FeatureSet("small", ("spend_per_visit", "age"), "Two of them.")
    chosen = replace(toy_use_case, feature_sets=(small,), model_set="small")
    assert [feature.name for feature in chosen.model_features] == ["spend_per_visit", "age"]
    unchosen = replace(toy_use_case, feature_sets=(small,))
    assert unchosen.model_features == toy_use_case.model_features


@pytest.mark.parametrize(
    ("sets", "model_set", "said"),
    [
        ((FeatureSet("small", ("agee",), "A slip."),), "", "did you mean 'age'"),
        ((), "small", "gives the model 'small'"),
        ((FeatureSet("a", ("age",), "One."), FeatureSet("a", ("visits",), "Two.")), "", "name each set once"),
    ],
)
def test_sets_that_cannot_be_are_refused(
    toy_use_case: UseCase, sets: tuple[FeatureSet, ...], model_set: str, said: str
) -> None:
    with pytest.raises(UseCaseError, match=said):
        replace(toy_use_case, feature_sets=sets, model_set=model_set)


def test_an_age_needs_a_time(toy_use_case: UseCase) -> None:
    assert _with(toy_use_case, max_age=timedelta(days=40)).views[0].max_age == timedelta(days=40)
    for wrong in ({"max_age": timedelta(0)}, {"max_age": timedelta(1), "event_time": None}):
        with pytest.raises(UseCaseError, match="max_age"):
            _with(toy_use_case, **wrong)


def test_row_numbers_are_keys_of_files_only(toy_use_case: UseCase) -> None:
    numbered = replace(toy_use_case.entity, keys=(Key("row", "int", "Its row.", column=ROW_NUMBER),))
    assert replace(toy_use_case, entity=numbered).entity.keys[0].source_column == ROW_NUMBER
    query = replace(toy_use_case.label, source=SqlSource("shop", "SELECT 1"))
    with pytest.raises(UseCaseError, match="row numbers"):
        replace(toy_use_case, entity=numbered, label=query)
