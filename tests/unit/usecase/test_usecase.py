"""The vocabulary refuses what could not work, and says why."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from evergreen.errors import EvergreenError, UnknownUseCase, UseCaseError
from evergreen.usecase import Feature, FileSource, Label, OnDemandFeature, UseCase, check_name


def twice(age):
    """Twice the age."""
    return 2 * age


def four_times(twice):
    """Four times the age."""
    return 2 * twice


def needs_nobody(agee):
    """Needs a feature that is not there."""
    return agee


def chicken(egg):
    """Needs the egg."""
    return egg


def egg(chicken):
    """Needs the chicken."""
    return chicken


@pytest.mark.parametrize("name", ["", "Age", "1st", "a b", "a-b", "a" * 49, "drop table;", "é", "age\n"])
def test_a_name_that_could_not_be_an_identifier_is_refused(name: str) -> None:
    with pytest.raises(UseCaseError, match="not a valid name"):
        check_name(name, "feature")


def test_on_demand_features_come_after_their_inputs(toy_use_case: UseCase) -> None:
    later = replace(
        toy_use_case, on_demand=(OnDemandFeature(four_times), OnDemandFeature(twice), *toy_use_case.on_demand)
    )
    names = [feature.name for feature in later.on_demand_order]
    assert names.index("twice") < names.index("four_times")
    assert [f.name for f in later.model_features][-3:] == names


def test_an_unknown_input_is_refused_with_the_nearest_name(toy_use_case: UseCase) -> None:
    with pytest.raises(UseCaseError, match="did you mean 'age'"):
        replace(toy_use_case, on_demand=(OnDemandFeature(needs_nobody),))


def test_a_cycle_is_refused_by_name(toy_use_case: UseCase) -> None:
    with pytest.raises(UseCaseError, match="chicken, egg"):
        replace(toy_use_case, on_demand=(OnDemandFeature(chicken), OnDemandFeature(egg)))


def test_keys_features_and_label_share_one_namespace(toy_use_case: UseCase) -> None:
    with pytest.raises(UseCaseError, match="age more than once"):
        replace(toy_use_case, label=replace(toy_use_case.label, name="age"))


@pytest.mark.parametrize(
    ("classes", "problem"), [((), "regression"), (("n", "y"), "binary"), (("a", "b", "c"), "multiclass")]
)
def test_the_problem_follows_from_the_classes(classes: tuple[str, ...], problem: str) -> None:
    assert Label("target", FileSource("x.csv"), "what", classes=classes).problem == problem


def test_one_class_is_no_problem_to_learn() -> None:
    with pytest.raises(UseCaseError, match="one class only"):
        Label("target", FileSource("x.csv"), "what", classes=("a",))


def test_a_number_with_allowed_values_is_refused() -> None:
    with pytest.raises(UseCaseError, match="minimum and maximum"):
        Feature("age", "int", "Age", allowed=("1", "2"))


@pytest.mark.parametrize("limit", [{"minimum": 0}, {"maximum": 9}])
def test_a_category_with_a_minimum_or_maximum_is_refused(limit: dict[str, float]) -> None:
    with pytest.raises(UseCaseError, match="has a minimum or maximum"):
        Feature("segment", "category", "", **limit)


def test_an_on_demand_feature_documents_itself() -> None:
    feature = OnDemandFeature(twice)
    assert (feature.name, feature.inputs, feature.meaning) == ("twice", ("age",), "Twice the age.")
    assert feature.function(np.array([2.0])).tolist() == [4.0]


def test_errors_survive_the_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnknownUseCase("no x", hint="try y")))
    assert isinstance(error, UnknownUseCase)
    assert str(error) == "no x\nHint: try y"


def test_every_error_stands_in_the_tree_of_the_docstring() -> None:
    import evergreen.errors as errors

    def names(kind: type[EvergreenError]) -> set[str]:
        return {kind.__name__}.union(*(names(sub) for sub in kind.__subclasses__()))

    declared = {n for n in names(EvergreenError) if hasattr(errors, n)}
    assert errors.__doc__ is not None
    assert declared <= set(re.findall(r"\w+", errors.__doc__))


def test_the_vocabulary_loads_nothing_heavy() -> None:
    code = (
        "import sys, evergreen.usecase\n"
        "heavy = {'numpy', 'pandas', 'pydantic', 'sqlalchemy', 'mlflow', 'catboost'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
