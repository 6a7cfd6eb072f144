"""Predictions and explanations of small CatBoost models: classes, numbers, and SHAP values that add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor

from evergreen.model.calibration import Calibration, apply_calibration
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.predict import explain_prediction, predict_rows
from evergreen.serving.http.examples import draw_requests
from evergreen.usecase import Label, UseCase

COMMON = {"iterations": 15, "depth": 3, "thread_count": 1, "verbose": False, "allow_writing_files": False}


def fitted(parcel: UseCase, classes: tuple[str, ...]) -> tuple[UseCase, LoadedModel, dict[str, np.ndarray]]:
    """The parcel case with another label, a model for it, and 200 rows."""
    label = Label("late", parcel.label.source, "m", classes, parcel.label.event_time)
    use_case = replace(parcel, label=label)
    columns = build_columns_from_rows(use_case, draw_requests(use_case, 200, seed=1))
    weight = columns["weight"]
    if classes:
        target: Any = np.array(classes, dtype=object)[weight.argsort().argsort() * len(classes) // 200]
        model = CatBoostClassifier(class_names=list(classes), **COMMON)
    else:
        target, model = weight * 3, CatBoostRegressor(**COMMON)
    model.fit(build_pool(use_case, add_on_demand_columns(use_case, columns), target))
    loaded = LoadedModel(1, "run", model, tuple(model.feature_names_), classes)
    return use_case, loaded, columns


@pytest.mark.parametrize("classes", [("no", "yes"), ("low", "middle", "high")])
def test_the_likeliest_class_is_predicted(parcel: UseCase, classes: tuple[str, ...]) -> None:
    use_case, loaded, columns = fitted(parcel, classes)
    outcome = predict_rows(use_case, loaded, columns)
    assert set(outcome.predictions) == set(classes)
    for answer in outcome.list_answers():
        shares = answer.probabilities
        assert shares is not None
        assert list(shares) == list(classes)
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[str(answer.prediction)] == answer.probability == max(shares.values())
    own = loaded.model.predict_proba(build_pool(use_case, add_on_demand_columns(use_case, columns)))
    assert outcome.probabilities == pytest.approx(own)


def test_a_number_is_predicted_as_a_float(parcel: UseCase) -> None:
    use_case, loaded, columns = fitted(parcel, ())
    outcome = predict_rows(use_case, loaded, columns)
    answer = outcome.list_answers()[0]
    assert (answer.probability, answer.probabilities) == (None, None)
    assert type(answer.prediction) is float
    assert np.corrcoef(outcome.predictions, columns["weight"])[0, 1] > 0.9


def test_one_row_and_many_rows_give_the_same(parcel: UseCase) -> None:
    use_case, loaded, columns = fitted(parcel, ("no", "yes"))
    many = predict_rows(use_case, loaded, columns)
    for number in range(0, 200, 20):
        one = predict_rows(use_case, loaded, {name: values[[number]] for name, values in columns.items()})
        assert one.list_answers() == [many.list_answers()[number]]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("classes", [("no", "yes"), ("low", "middle", "high"), ()])
def test_contributions_add_up_to_the_raw_score_of_the_prediction(
    parcel: UseCase, classes: tuple[str, ...], calibrated: bool
) -> None:
    use_case, loaded, columns = fitted(parcel, classes)
    if calibrated and classes:
        apply_calibration(loaded.model, Calibration(0.7, (0.2,) if len(classes) == 2 else (0.1, -0.2, 0.3)))
    for number in range(0, 200, 9):
        row = {name: values[[number]] for name, values in columns.items()}
        explanation = explain_prediction(use_case, loaded, row)
        (answer,) = predict_rows(use_case, loaded, row).list_answers()
        assert explanation.prediction == answer.prediction
        assert explanation.contributions.keys() == set(loaded.feature_names)
        sizes = [abs(value) for value in explanation.contributions.values()]
        assert sizes == sorted(sizes, reverse=True)
        score = explanation.base_value + sum(explanation.contributions.values())
        if not classes:
            assert score == pytest.approx(answer.prediction, abs=1e-6)
        elif len(classes) == 2:
            assert 1 / (1 + np.exp(-score)) == pytest.approx(answer.probability, abs=1e-6)
        else:
            raw = loaded.model.predict(
                build_pool(use_case, add_on_demand_columns(use_case, row)), prediction_type="RawFormulaVal"
            )[0]
            assert score == pytest.approx(raw.max(), abs=1e-6)


def test_with_class_weights_the_answer_is_the_class_of_least_cost(parcel: UseCase) -> None:
    use_case, loaded, columns = fitted(parcel, ("no", "yes"))
    careful = replace(loaded, weights=(1.0, 9.0))
    before, after = predict_rows(use_case, loaded, columns), predict_rows(use_case, careful, columns)
    assert before.probabilities is not None
    assert np.array_equal(before.probabilities, after.probabilities), "the probabilities stay what they are"
    for answer in after.list_answers():
        assert answer.probabilities is not None
        assert (answer.prediction == "yes") is (answer.probabilities["yes"] > 0.1)
        assert answer.probability == answer.probabilities[str(answer.prediction)]
    assert (after.predictions == "yes").sum() > (before.predictions == "yes").sum()
    assert after.probability is not None
    assert after.probability.tolist() == [answer.probability for answer in after.list_answers()]
