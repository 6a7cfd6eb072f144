import numpy as np
import pytest

from evergreen.model.matrix import build_input_frame, build_pool, select_rows
from evergreen.model.predict import predict_inputs
from evergreen.training.fit.fitting import Machine, fit_model

PARAMS = {"iterations": 15, "depth": 3, "l2_leaf_reg": 3.0, "learning_rate": 0.2}


def test_numbers_come_before_categories_in_declared_order(toy_use_case, toy_columns):
    columns, _ = toy_columns(60)
    data = build_pool(toy_use_case, columns)
    names = ["age", "visits", "spend", "spend_per_visit", "segment", "mood"]
    assert data.get_feature_names() == names
    assert data.get_cat_feature_indices() == [4, 5]
    assert list(build_input_frame(toy_use_case, columns).columns) == names


def test_missing_categories_have_a_name_and_missing_numbers_stay_missing(toy_use_case, toy_columns):
    columns, _ = toy_columns(200)
    frame = build_input_frame(toy_use_case, columns)
    absent = np.array([value is None for value in columns["segment"]])
    assert absent.any()
    assert set(frame["segment"][absent]) == {"missing"}
    assert frame["spend"].isna().sum() == np.isnan(columns["spend"]).sum() > 0


def test_one_row_and_many_rows_get_the_same_prediction(toy_use_case, toy_columns):
    columns, label = toy_columns(200)
    model = fit_model(toy_use_case, columns, label, PARAMS, Machine(1))
    together = predict_inputs(toy_use_case, model, columns).probabilities
    for row in (0, 17, 199):
        alone = select_rows(columns, np.arange(200) == row)
        assert predict_inputs(toy_use_case, model, alone).probabilities[0] == pytest.approx(
            together[row], abs=0
        )


def test_a_category_beyond_ascii_is_one_category(toy_use_case, toy_columns):
    columns, label = toy_columns(200)
    assert "übel" in set(columns["mood"])
    columns["mood"] = np.array(["übel" if y == "yes" else "fine" for y in label], dtype=object)
    model = fit_model(toy_use_case, columns, label, PARAMS, Machine(1))
    assert (predict_inputs(toy_use_case, model, columns).predictions == label).all()
