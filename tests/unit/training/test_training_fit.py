import hashlib
import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from evergreen.model.calibration import Calibration, fit_calibration
from evergreen.model.decision import choose_classes, read_class_weights
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import build_pool, select_rows
from evergreen.model.predict import predict_inputs
from evergreen.settings import Settings
from evergreen.training.data.split import Cut
from evergreen.training.fit import device
from evergreen.training.fit.digest import digest_model
from evergreen.training.fit.fitting import Machine, build_model, compute_class_weights, fit_model
from evergreen.training.judge.answers import score_holdout

PARAMS = {"iterations": 20, "depth": 3, "l2_leaf_reg": 3.0, "learning_rate": 0.2}
ONE = Machine(1)


def test_classes_keep_their_declared_order(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    swapped = replace(toy_use_case, label=replace(toy_use_case.label, classes=("yes", "no")))
    one = fit_model(toy_use_case, columns, label, PARAMS, ONE)
    other = fit_model(swapped, columns, label, PARAMS, ONE)
    assert list(one.classes_) == ["no", "yes"]
    assert list(other.classes_) == ["yes", "no"]
    forward = predict_inputs(toy_use_case, one, columns)
    backward = predict_inputs(swapped, other, columns)
    assert forward.probabilities[:, 1] == pytest.approx(backward.probabilities[:, 0], abs=0.05)
    assert compute_metrics(toy_use_case, label, forward)["roc_auc"] > 0.85


def test_regression_and_three_classes_fit_too(toy_use_case, toy_columns):
    columns, _ = toy_columns(300)
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    target = columns["visits"] * 3.0
    found = compute_metrics(
        number, target, predict_inputs(number, fit_model(number, columns, target, PARAMS, ONE), columns)
    )
    assert found["r2"] > 0.8
    three = replace(toy_use_case, label=replace(toy_use_case.label, classes=("few", "some", "many")))
    names = np.array(["few", "some", "many"], dtype=object)[np.digitize(columns["visits"], [3, 6])]
    answers = predict_inputs(three, fit_model(three, columns, names, PARAMS, ONE), columns)
    assert answers.probabilities.shape == (300, 3)
    assert compute_metrics(three, names, answers)["accuracy"] > 0.9


def test_no_file_is_left_where_the_program_runs(toy_use_case, toy_columns, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns, label = toy_columns(100)
    fit_model(toy_use_case, select_rows(columns, np.ones(100, bool)), label, {"iterations": 3}, ONE)
    assert list(tmp_path.iterdir()) == []
    assert build_model(toy_use_case, {}, Machine(2)).get_param("thread_count") == 2


def test_the_same_rows_recipe_and_seed_give_the_same_file_on_any_number_of_threads(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    calibration = Calibration(1.1, (0.0,))
    digests = {
        digest_model(fit_model(toy_use_case, columns, label, PARAMS, Machine(threads), calibration))
        for threads in (1, 1, 2)
    }
    assert len(digests) == 1
    other_seed = replace(toy_use_case, tuning=replace(toy_use_case.tuning, seed=8))
    digests.add(digest_model(fit_model(other_seed, columns, label, PARAMS, ONE, calibration)))
    digests.add(digest_model(fit_model(toy_use_case, columns, label, PARAMS, ONE, Calibration(1.2, (0.0,)))))
    digests.add(
        digest_model(fit_model(toy_use_case, columns, label, {**PARAMS, "depth": 2}, ONE, calibration))
    )
    assert len(digests) == 4


def test_the_digest_is_that_of_the_saved_file(toy_use_case, toy_columns, tmp_path):
    columns, label = toy_columns(100)
    model = fit_model(toy_use_case, columns, label, PARAMS, ONE)
    model.save_model(str(tmp_path / "model.cb"))
    assert digest_model(model) == hashlib.sha256((tmp_path / "model.cb").read_bytes()).hexdigest()


def test_one_column_without_any_value_is_borne(toy_use_case, toy_columns):
    columns, label = toy_columns(200)
    columns["age"] = np.full(200, np.nan)
    columns["segment"] = np.full(200, None)
    model = fit_model(toy_use_case, columns, label, PARAMS, ONE)
    assert "age" in model.feature_names_
    assert compute_metrics(toy_use_case, label, predict_inputs(toy_use_case, model, columns))["roc_auc"] > 0.8


def rare(toy_use_case, toy_columns, weights):
    """The toy with few "yes", and class weights."""
    columns, label = toy_columns(1200)
    kept = (label == "no") | (np.arange(1200) % 8 == 0)
    use_case = replace(toy_use_case, tuning=replace(toy_use_case.tuning, class_weights=weights))
    return use_case, select_rows(columns, kept), label[kept]


def test_class_weights_follow_from_the_shares_and_travel_in_the_file(toy_use_case, toy_columns, tmp_path):
    use_case, columns, label = rare(toy_use_case, toy_columns, "balanced")
    weights = compute_class_weights(use_case, label)
    assert weights[1] / weights[0] == pytest.approx(np.sum(label == "no") / np.sum(label == "yes"))
    model = fit_model(use_case, columns, label, PARAMS, ONE)
    model.save_model(str(tmp_path / "model.cb"))
    loaded = type(model)().load_model(str(tmp_path / "model.cb"))
    assert read_class_weights(loaded) == pytest.approx(weights)
    plain, _, _ = rare(toy_use_case, toy_columns, "none")
    weighted = predict_inputs(use_case, loaded, columns)
    without = predict_inputs(plain, fit_model(plain, columns, label, PARAMS, ONE), columns)
    assert np.mean(weighted.predictions == "yes") > np.mean(without.predictions == "yes")
    assert compute_class_weights(
        replace(use_case, tuning=replace(use_case.tuning, class_weights=(1.0, 5.0))), label
    ) == (
        1.0,
        5.0,
    )
    root = replace(use_case, tuning=replace(use_case.tuning, class_weights="sqrt_balanced"))
    assert compute_class_weights(root, label) == pytest.approx(np.sqrt(weights))


def test_the_decision_costs_least():
    shares = np.array([[0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    assert choose_classes(shares).tolist() == [0, 0, 0]
    assert choose_classes(shares, (1.0, 3.0)).tolist() == [0, 1, 1]


def test_every_held_out_row_is_answered_by_the_model_that_did_not_see_it(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    fold = np.arange(300) % 3
    cuts = [Cut(fold != number, fold == number) for number in range(2)]  # the third fold is not held out
    models = [
        fit_model(toy_use_case, select_rows(columns, c.train), label[c.train], PARAMS, ONE) for c in cuts
    ]
    together = score_holdout(toy_use_case, models, columns, cuts)
    assert len(together.predictions) == 200
    first = predict_inputs(toy_use_case, models[0], select_rows(columns, cuts[0].test))
    place = np.flatnonzero(fold[fold < 2] == 0)
    assert (together.predictions[place] == first.predictions).all()
    assert (together.probabilities[place] == first.probabilities).all()


@pytest.mark.parametrize(
    ("setting", "driver", "gpus", "chosen"),
    [
        ("auto", False, 1, "CPU"),
        ("auto", True, 1, "GPU"),
        ("auto", True, 0, "CPU"),
        ("cpu", True, 1, "CPU"),
        ("gpu", False, 0, "CPU"),
        ("gpu", True, 2, "GPU"),
    ],
)
def test_a_gpu_is_used_where_there_is_one(monkeypatch, caplog, setting, driver, gpus, chosen):
    monkeypatch.setattr(device, "has_gpu_driver", lambda: driver)
    monkeypatch.setattr(device, "count_gpus", lambda: gpus)
    with caplog.at_level(logging.WARNING, logger="evergreen.training.fit.device"):
        assert device.choose_task_type(Settings(task_type=setting)) == chosen
    told = any("finds no GPU here: fitting on the CPU" in message for message in caplog.messages)
    assert told is (setting == "gpu" and not gpus)


def test_a_model_knows_its_task_type_and_keeps_no_thread_count(toy_use_case, toy_columns):
    assert build_model(toy_use_case, {}, Machine(1, "GPU")).get_param("task_type") == "GPU"
    columns, label = toy_columns(100)
    kept = json.loads(fit_model(toy_use_case, columns, label, PARAMS, Machine(2)).get_metadata()["params"])
    assert "thread_count" not in json.dumps(kept)


def test_what_a_weighted_model_answers_is_calibrated_and_decided_once(toy_use_case, toy_columns):
    """Fit with weights, calibrate on other rows: the probabilities are of the true shares, and the weights
    decide once."""
    use_case, columns, label = rare(toy_use_case, toy_columns, "balanced")
    half = np.arange(len(label)) % 2 == 0
    weights = compute_class_weights(use_case, label[half])
    raw_model = build_model(use_case, PARAMS, ONE, weights)
    raw_model.fit(build_pool(use_case, select_rows(columns, half), label[half]))
    raw = raw_model.predict(
        build_pool(use_case, select_rows(columns, ~half)), prediction_type="RawFormulaVal"
    )
    calibration = fit_calibration(raw, (label[~half] == "yes").astype(int), 2, weights)
    model = fit_model(use_case, select_rows(columns, half), label[half], PARAMS, ONE, calibration)
    answers = predict_inputs(use_case, model, select_rows(columns, ~half))
    share = np.mean(label[~half] == "yes")
    assert answers.probabilities[:, 1].mean() == pytest.approx(share, abs=0.02)
    said = answers.predictions == "yes"
    assert (said == (answers.probabilities[:, 1] > 1 / (1 + weights[1] / weights[0]))).all()
    assert compute_metrics(use_case, label[~half], answers)["calibration_error"] < 0.1
