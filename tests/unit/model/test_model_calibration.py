import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.model.calibration import (
    Calibration,
    apply_calibration,
    compute_shap_values,
    copy_without_calibration,
    fit_calibration,
)

RAW = {"prediction_type": "RawFormulaVal"}


def even(classes):
    """Class weights that count every class the same: a bias is fitted, around nothing."""
    return (1.0,) * classes


def losses(raw, truth, scale=1.0, bias=0.0):
    """Mean log loss in nats of (n, columns) raw scores."""
    scores = scale * np.asarray(raw, dtype=np.float64) + bias
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    scores = scores - scores.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(truth)), truth]))


def drawn_by(scores, rng):
    """Class numbers drawn with the probabilities that (n, columns) raw scores stand for."""
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def fitted(request):
    """(problem, small CatBoost model, its 200 rows)."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    rng = np.random.default_rng(4)
    rows = rng.normal(size=(200, 4))
    options = {"iterations": 20, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    if request.param == "regression":
        return request.param, CatBoostRegressor(**options).fit(rows, rows[:, 0] + 100), rows
    names = np.array(["c", "a", "b"][: 2 if request.param == "binary" else 3], dtype=object)
    loss = "Logloss" if request.param == "binary" else "MultiClass"
    label = names[np.digitize(rows[:, 0] + 0.5 * rng.normal(size=200), [-0.5, 0.5][: len(names) - 1])]
    model = CatBoostClassifier(**options, loss_function=loss, class_names=list(names)).fit(rows, list(label))
    return request.param, model, rows


def some_calibration(problem):
    return Calibration(1.7, (0.4,) if problem == "binary" else (0.4, -0.3, 0.1))


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("true_scale", [0.3, 1.0, 2.5])
def test_the_true_scale_and_bias_are_found(columns, true_scale):
    rng = np.random.default_rng(2)
    raw = 1.5 * rng.normal(size=(20_000, columns))
    bias = np.array([0.5] if columns == 1 else [0.6, -0.4, -0.2])
    truth = drawn_by(true_scale * raw + bias, rng)
    found = fit_calibration(raw, truth, max(columns, 2), even(max(columns, 2)))
    assert found.scale == pytest.approx(true_scale, rel=0.06)
    assert found.bias == pytest.approx(tuple(bias), abs=0.08)
    alone = fit_calibration(raw, drawn_by(true_scale * raw, rng), max(columns, 2))
    assert alone.scale == pytest.approx(true_scale, rel=0.06)
    assert not any(alone.bias)


@pytest.mark.parametrize("columns", [1, 3])
def test_it_is_the_minimum_of_log_loss_and_prior(columns):
    rng = np.random.default_rng(3)
    raw = rng.normal(size=(300, columns))
    truth = drawn_by(0.5 * raw + 0.3 * np.arange(columns), rng)

    def penalised(scale, bias):
        prior = (np.log(scale) ** 2 + np.square(bias).sum()) / 0.5**2 / 2
        return len(truth) * losses(raw, truth, scale, bias) + prior

    found = fit_calibration(raw, truth, max(columns, 2), even(max(columns, 2)))
    best = penalised(found.scale, np.array(found.bias))
    for _ in range(200):
        step = 0.02 * rng.normal(size=1 + columns)
        assert best <= penalised(found.scale * np.exp(step[0]), np.array(found.bias) + step[1:]) + 1e-6


@given(
    st.integers(0, 12), st.sampled_from([2, 3, 4]), st.booleans(), st.integers(0, 99), st.floats(0.01, 500)
)
def test_it_never_harms_the_rows_it_sees(rows, classes, with_bias, seed, spread):
    rng = np.random.default_rng(seed)
    raw = spread * rng.normal(size=(rows, 1 if classes == 2 else classes))
    truth = rng.integers(0, classes, rows)
    found = fit_calibration(raw, truth, classes, even(classes) if with_bias else ())
    assert 0.05 <= found.scale <= 20.0
    assert np.isfinite(found.bias).all()
    assert len(found.bias) == raw.shape[1]
    if rows:
        before, after = losses(raw, truth), losses(raw, truth, found.scale, np.array(found.bias))
        assert after <= before + 1e-12 * max(1.0, before)
    else:
        assert found.is_identity


@pytest.mark.parametrize("with_bias", [False, True])
def test_few_rows_change_little_even_perfectly_separated_ones(with_bias):
    raw = np.array([-2.0, -1.0, 1.0, 2.0, 3.0], dtype=np.float32)
    weights = even(2) if with_bias else ()
    few = fit_calibration(raw, raw > 0, 2, weights)
    assert 1.0 < few.scale < 1.6
    assert abs(few.bias[0]) < 0.3
    many = fit_calibration(np.repeat(raw, 100_000), np.repeat(raw > 0, 100_000), 2, weights)
    assert few.scale < many.scale <= 20.0


def test_a_calibration_survives_json():
    found = Calibration(1.25, (0.1, -0.2, 0.0))
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert Calibration.identity(2) == Calibration(1.0, (0.0,))
    assert Calibration.identity(4).is_identity
    assert not found.is_identity


@pytest.mark.parametrize("fitted", ["binary", "multiclass"], indirect=True)
def test_the_model_itself_is_calibrated_and_so_is_its_file(fitted, tmp_path):
    problem, model, rows = fitted
    raw, changed, wanted = model.predict(rows, **RAW), model.copy(), some_calibration(problem)
    apply_calibration(changed, wanted)
    bias = wanted.bias[0] if problem == "binary" else np.array(wanted.bias)
    expected = wanted.scale * raw + bias
    changed.save_model(str(tmp_path / "model.cb"))
    loaded = type(model)().load_model(str(tmp_path / "model.cb"))
    for each in (changed, loaded):
        assert each.predict(rows, **RAW) == pytest.approx(expected)
        columns = np.column_stack([np.zeros(200), expected]) if problem == "binary" else expected
        powers = np.exp(columns)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        assert each.predict_proba(rows) == pytest.approx(probabilities)
        most = np.array(each.classes_)[probabilities.argmax(axis=1)]
        assert (np.asarray(each.predict(rows)).ravel() == most).all()
    assert model.predict(rows, **RAW) == pytest.approx(raw, abs=0)


@pytest.mark.parametrize("fitted", ["binary", "multiclass"], indirect=True)
def test_a_second_calibration_builds_on_the_first(fitted):
    problem, model, rows = fitted
    changed, wanted = model.copy(), some_calibration(problem)
    apply_calibration(changed, wanted)
    once = changed.predict(rows, **RAW)
    apply_calibration(changed, Calibration.identity(len(model.classes_)))
    assert changed.predict(rows, **RAW) == pytest.approx(once, abs=0)
    apply_calibration(changed, wanted)
    bias = wanted.bias[0] if problem == "binary" else np.array(wanted.bias)
    assert changed.predict(rows, **RAW) == pytest.approx(wanted.scale * once + bias)


@pytest.mark.parametrize("fitted", ["binary", "multiclass"], indirect=True)
def test_calibrating_a_model_on_rows_lowers_their_log_loss(fitted):
    _, model, rows = fitted
    classes = len(model.classes_)
    rng = np.random.default_rng(8)
    raw = model.predict(rows, **RAW).reshape(200, -1)
    truth = drawn_by(0.4 * raw, rng)
    changed = model.copy()
    apply_calibration(changed, fit_calibration(raw, truth, classes))
    chosen = changed.predict_proba(rows)[np.arange(200), truth]
    assert -np.log(chosen).mean() < losses(raw, truth) - 0.02


def test_the_plain_copy_is_plain_and_the_model_stays(fitted):
    problem, model, rows = fitted
    changed = model.copy()
    if problem != "regression":
        apply_calibration(changed, some_calibration(problem))
    before = changed.predict(rows, **RAW)
    bare, scale, bias = copy_without_calibration(changed)
    assert bare.get_scale_and_bias()[0] == 1.0
    assert not np.any(bare.get_scale_and_bias()[1])
    assert scale * bare.predict(rows, **RAW) + bias == pytest.approx(before)
    assert changed.predict(rows, **RAW) == pytest.approx(before, abs=0)


@pytest.mark.parametrize("calibrated", [False, True])
def test_shap_values_add_up_to_the_calibrated_raw_score(fitted, calibrated):
    from catboost import Pool

    problem, model, rows = fitted
    changed = model.copy()
    if calibrated and problem != "regression":
        apply_calibration(changed, some_calibration(problem))
    values = compute_shap_values(changed, Pool(rows), 1)
    assert values.shape == ((200, 3, 5) if problem == "multiclass" else (200, 5))
    assert values.sum(axis=-1) == pytest.approx(changed.predict(rows, **RAW))
    if not calibrated or problem == "regression":
        catboosts = model.get_feature_importance(Pool(rows), type="ShapValues", thread_count=1)
        assert values == pytest.approx(catboosts)
    if problem == "regression":
        assert values[0, -1] == pytest.approx(100, abs=2)


@pytest.mark.parametrize("rows", [0, 100, 300, 100_000])
@pytest.mark.parametrize("weights", [(0.525, 10.0), (0.5, 2.0, 4.0)])
def test_the_weights_of_a_weighted_model_are_taken_out_again(rows, weights):
    """A perfect model fitted with weights answers log(weight * probability), up to a constant."""
    rng = np.random.default_rng(rows)
    classes = len(weights)
    scores = rng.normal(0.0, 1.0, (rows, classes)) - np.log(np.arange(1, classes + 1) ** 2)
    truth = np.array(
        [rng.choice(classes, p=np.exp(row) / np.exp(row).sum()) for row in scores], dtype=np.int64
    )
    weighted = scores + np.log(weights)
    raw = weighted[:, 1] - weighted[:, 0] if classes == 2 else weighted
    found = fit_calibration(raw, truth, classes, weights)
    wanted = -np.diff(np.log(weights)) if classes == 2 else -np.log(weights) + np.mean(np.log(weights))
    bias = np.array(found.bias)
    assert bias - bias.mean() * (classes > 2) == pytest.approx(wanted, abs=0.5 if rows < 1000 else 0.05)
    assert found.scale == pytest.approx(1.0, abs=0.3 if rows < 1000 else 0.05)
