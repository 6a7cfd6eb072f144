"""What a use case says of search, gate and split is refused when it could not work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evergreen.errors import UseCaseError
from evergreen.usecase import GATE_CHECKS, Between, Floor, Gate, OneOf, Slice, Tuning, UseCase


@pytest.mark.parametrize("kind", [lambda name: Between(name, 1, 2), lambda name: OneOf(name, (1, 2))])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dept", "did you mean 'depth'?"),
        ("l2_leaf_regg", "did you mean 'l2_leaf_reg'?"),
        ("learn_rate", "did you mean 'learning_rate'?"),
        ("zzz", "choose from bagging_temperature, boosting_type"),
        ("", "choose from bagging_temperature, boosting_type"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(kind, name, hint):
    with pytest.raises(UseCaseError, match="is no parameter that may be searched") as told:
        kind(name)
    assert told.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("made", "message", "hint"),
    [
        (lambda: Between("grow_policy", 0, 1), "'grow_policy' a range, but its values are names", "OneOf"),
        (lambda: Between("depth", 8, 4), "range of 'depth' is 8 to 4", "first end be the smaller"),
        (lambda: Between("rsm", float("nan"), 1), "range of 'rsm' is nan to 1", "first end be the smaller"),
        (lambda: Between("l2_leaf_reg", 0, 9, log=True), "0 to 9 on a logarithmic scale", "above 0"),
        (lambda: Between("depth", 2.5, 4), "'depth' takes whole numbers, not 2.5 to 4", "whole ends"),
        (lambda: OneOf("depth", ()), "gives 'depth' no value", "or leave it out"),
    ],
)
def test_an_unsuitable_range_is_refused(made, message, hint):
    with pytest.raises(UseCaseError, match=message) as told:
        made()
    assert hint in told.value.hint


def test_a_search_begins_in_the_middle_of_each_range():
    assert Between("depth", 4, 8).middle == 6
    assert Between("l2_leaf_reg", 1, 100, log=True).middle == pytest.approx(10)
    assert OneOf("grow_policy", ("Depthwise", "Lossguide", "SymmetricTree")).middle == "Lossguide"


def test_a_grid_without_an_end_is_refused():
    space = (Between("depth", 2, 4), Between("rsm", 0.5, 1.0))
    with pytest.raises(UseCaseError, match="a grid has no end over the range of rsm") as told:
        Tuning(sampler="grid", space=space)
    assert told.value.hint.startswith("declare OneOf('rsm', (...))")
    assert Tuning(sampler="grid", space=(space[0], OneOf("rsm", (0.5, 1.0)))).space


def test_a_parameter_that_is_named_twice_is_refused():
    with pytest.raises(UseCaseError, match="names depth, rsm more than once"):
        Tuning(space=(Between("depth", 2, 4), OneOf("rsm", (1,)), OneOf("depth", (6,)), OneOf("rsm", (0.5,))))


@pytest.mark.parametrize("name", ["trials", "workers", "iterations", "early_stopping_rounds"])
def test_a_budget_of_nothing_is_refused(name):
    with pytest.raises(UseCaseError, match=f"tuning's {name} is 0") as told:
        Tuning(**{name: 0})
    assert told.value.hint == "give 1 or more"


@pytest.mark.parametrize("share", [-0.01, 1.01, 95, float("nan")])
def test_a_confidence_that_is_no_share_is_refused(share):
    with pytest.raises(UseCaseError, match="the gate's confidence is"):
        Gate(confidence=share)


@pytest.mark.parametrize("field", ["hard", "warn"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("beats liner", "did you mean 'beats linear'?"),
        ("floor of recal", "did you mean 'floor of recall'?"),
        ("floor", "did you mean 'floors'?"),
        ("zzz", "choose from beats linear, beats dummy, floors, calibration, slices, size, latency, replay"),
        ("beats champion", "margin and confidence say"),
        ("beats champion surely", "margin and confidence say"),
        ("leakage", "it is a warning always"),
        (7, "choose from beats linear"),
    ],
)
def test_a_gate_declares_what_is_hard_and_what_warns_by_the_names_of_its_checks(field, name, hint):
    with pytest.raises(UseCaseError, match=f"the gate's {field} names {name!r}") as told:
        Gate(floors=(Floor("recall", 0.5),), **{field: (name,)})
    assert told.value.hint.startswith(hint)
    with pytest.raises(UseCaseError, match=f"the gate's {field} is the text 'floors'") as told:
        Gate(**{field: "floors"})
    assert told.value.hint == f'give a tuple: {field}=("floors",)'


def test_a_check_is_hard_or_warns_and_one_of_a_kind_goes_before_the_kind():
    with pytest.raises(UseCaseError, match="declares floors, size both hard and a warning"):
        Gate(hard=("size", "floors"), warn=("floors", "latency", "size"))
    floors = (Floor("recall", 0.5), Floor("precision", 0.5))
    gate = Gate(floors=floors, hard=("floors", "size"), warn=("floor of recall", "slices of age"))
    assert [gate.strictness_of(f"floor of {metric}") for metric in ("recall", "precision")] == [
        "warn",
        "hard",
    ]
    assert [gate.strictness_of(f"slices of {feature}") for feature in ("age", "sex")] == ["warn", None]
    assert (gate.strictness_of("size"), gate.strictness_of("latency")) == ("hard", None)
    assert Gate(warn=GATE_CHECKS).strictness_of("slices of age") == "warn"


def test_a_declared_slice_must_be_one(toy_use_case: UseCase):
    gate = Gate(hard=("slices of agee",))
    with pytest.raises(UseCaseError, match="names 'slices of agee', which has no slice") as told:
        replace(toy_use_case, gate=gate, slices=(Slice("age", edges=(30,)),))
    assert told.value.hint.startswith("did you mean 'slices of age'?")
    with pytest.raises(UseCaseError, match="has no slice") as told:
        replace(toy_use_case, gate=gate)
    assert told.value.hint == "declare the slice, or leave the name out"
    fitting = Gate(warn=("slices of age",))
    assert replace(toy_use_case, gate=fitting, slices=(Slice("age", edges=(30,)),)).gate is fitting


@pytest.mark.parametrize("edges", [(3, 1), (1, 1)])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(UseCaseError, match="slice of 'age' has the edges"):
        Slice("age", edges=edges)


@pytest.mark.parametrize(
    ("chosen", "message", "hint"),
    [
        (Slice("agee", edges=(30,)), "is of 'agee', which nobody declares", "did you mean 'age'?"),
        (Slice("age"), "slice 'age' of 'toy' is a int without edges", "give a number edges"),
        (Slice("segment", edges=(1,)), "slice 'segment' of 'toy' is a category with edges", "has its values"),
    ],
)
def test_a_slice_must_be_of_a_feature_and_fit_its_type(toy_use_case: UseCase, chosen, message, hint):
    with pytest.raises(UseCaseError, match=message) as told:
        replace(toy_use_case, slices=(chosen,))
    assert hint in told.value.hint


@pytest.mark.parametrize(("split", "folds"), [("time", 5), ("stratified", 1), ("grouped", -1)])
def test_folds_need_a_split_that_they_can_follow(toy_use_case: UseCase, split, folds):
    with pytest.raises(UseCaseError, match=f'folds={folds} with split="{split}"') as told:
        replace(toy_use_case, split=split, folds=folds)
    assert 'with split="stratified" or "grouped"' in told.value.hint
    assert replace(toy_use_case, split="grouped", folds=2).folds == 2


def test_class_weights_belong_to_classes(toy_use_case: UseCase):
    def weighted(weights):
        return replace(toy_use_case.tuning, class_weights=weights)

    with pytest.raises(UseCaseError, match="has 3 class weights for 2 classes"):
        replace(toy_use_case, tuning=weighted((1.0, 2.0, 3.0)))
    number = replace(toy_use_case.label, classes=())
    for weights in ("balanced", (1.0, 2.0)):
        with pytest.raises(UseCaseError, match="weighs classes but predicts a number"):
            replace(toy_use_case, label=number, tuning=weighted(weights))
    assert replace(toy_use_case, tuning=weighted((1.0, 2.0))).tuning.class_weights == (1.0, 2.0)


@pytest.mark.parametrize(
    ("made", "message", "hint"),
    [
        (
            lambda: OneOf("loss_function", ("Logloss",)),
            "'loss_function', which is not the search's",
            "leave it out",
        ),
        (lambda: Between("rsm", 0.5, float("inf")), "range of 'rsm' is 0.5 to inf", "both finite"),
        (lambda: OneOf("depth", ("a",)), "gives 'depth' the value 'a'", "whole numbers"),
        (lambda: OneOf("grow_policy", (1,)), "gives 'grow_policy' the value 1", "names"),
        (lambda: OneOf("rsm", ("much",)), "gives 'rsm' the value 'much'", "numbers"),
        (lambda: Tuning(sampler="tpee"), "sampler is 'tpee'", "did you mean 'tpe'?"),
        (lambda: Tuning(pruner="med"), "pruner is 'med'", "did you mean 'median'?"),
        (lambda: Tuning(class_weights="balance"), "class_weights is 'balance'", "did you mean 'balanced'?"),
        (lambda: Tuning(class_weights=(1.0, 0.0)), "class_weights are", "above 0"),
        (lambda: Tuning(seconds=-1.0), "seconds are -1", "0 or more"),
    ],
)
def test_a_mistyped_choice_is_refused_instead_of_ignored(made, message, hint):
    with pytest.raises(UseCaseError, match=message) as told:
        made()
    assert hint in told.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approval": "manuel"}, "approval of 'toy' is 'manuel'"),
        ({"split": "strat"}, "split of 'toy' is 'strat'"),
        ({"holdout_share": 0.0}, "holdout_share of 'toy' is 0"),
        ({"holdout_share": 1.5}, "holdout_share of 'toy' is 1.5"),
    ],
)
def test_a_use_case_knows_its_choices(toy_use_case, change, message):
    with pytest.raises(UseCaseError, match=message):
        replace(toy_use_case, **change)


def test_a_slice_limits_what_is_measured_in_groups(toy_use_case):
    assert replace(toy_use_case, slices=(Slice("segment", metric="selection_rate"),)).slices
    with pytest.raises(UseCaseError, match="the slice 'segment' of 'toy' limits 'roc_auc'"):
        replace(toy_use_case, slices=(Slice("segment", metric="roc_auc"),))
