from dataclasses import replace

import numpy as np
import pytest

from evergreen.errors import SignatureMismatch
from evergreen.model.signature import check_signature, list_model_inputs, read_model_classes
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.usecase import Feature, OnDemandFeature


@pytest.fixture
def model(toy_use_case, toy_columns):
    columns, label = toy_columns(80)
    return fit_model(toy_use_case, columns, label, {"iterations": 2, "depth": 2}, Machine(1))


def with_features(use_case, features, **changes):
    view = replace(use_case.views[0], features=tuple(features))
    return replace(use_case, views=(view,), **changes)


def test_a_model_fits_the_declaration_it_was_trained_by(toy_use_case, model):
    check_signature(toy_use_case, 1, model)
    assert read_model_classes(model) == ("no", "yes")


def test_text_and_unused_features_are_handled(toy_use_case):
    features = [
        Feature("note", "text", "A note"),
        *toy_use_case.views[0].features,
        Feature("aside", "int", "Not for the model", used_by_model=False),
    ]
    names = [f.name for f in list_model_inputs(with_features(toy_use_case, features))]
    assert names == ["age", "visits", "spend", "spend_per_visit", "note", "segment", "mood"]


def test_each_difference_is_named(toy_use_case, model):
    age, visits, spend, segment, mood = toy_use_case.views[0].features

    def fault(use_case):
        with pytest.raises(SignatureMismatch) as caught:
            check_signature(use_case, 3, model)
        assert "toy version 3" in caught.value.message
        assert "train it again: evergreen train toy;" in caught.value.hint
        return caught.value.message

    other = Feature("income", "float", "New")
    assert "does not know income" in fault(
        with_features(toy_use_case, (age, visits, spend, other, segment, mood))
    )
    assert "wants mood, which is not declared" in fault(
        with_features(toy_use_case, (age, visits, spend, segment))
    )
    assert "another order" in fault(with_features(toy_use_case, (visits, age, spend, segment, mood)))
    assert "segment is a category for it and a number" in fault(
        with_features(toy_use_case, (age, visits, spend, Feature("segment", "int", "Now a number"), mood))
    )
    relabelled = replace(toy_use_case, label=replace(toy_use_case.label, classes=("yes", "no")))
    assert "predicts no, yes and not yes, no" in fault(relabelled)
    fewer = replace(toy_use_case, on_demand=())
    assert "wants spend_per_visit" in fault(fewer)
    assert isinstance(toy_use_case.on_demand[0], OnDemandFeature)


def other_code(spend, visits):
    """Money spent per visit."""
    return spend / np.maximum(visits, 2.0)


def test_a_model_is_refused_when_an_on_demand_feature_is_computed_by_other_code(toy_use_case, model):
    other_code.__name__ = "spend_per_visit"
    changed = replace(toy_use_case, on_demand=(OnDemandFeature(other_code),))
    with pytest.raises(SignatureMismatch, match="spend_per_visit was computed by other code"):
        check_signature(changed, 1, model)
