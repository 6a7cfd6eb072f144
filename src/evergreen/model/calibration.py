"""Calibration of a classifier's probabilities, kept inside the CatBoost model.

A CatBoost model's raw score is `scale * (sum of its leaves) + bias`, and both numbers are part of its file.
So a calibration needs no wrapper: the model predicts calibrated probabilities wherever it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

# Bounds of the scale: beyond them the scores would mean nothing, or the rows are perfectly separated.
_LEAST_SCALE, _GREATEST_SCALE = 0.05, 20.0
# The prior: log scale and biases are normal around their centre with a standard deviation of half a unit. A
# dozen rows hardly move it, from a thousand on it hardly matters.
_PRIOR_DEVIATION = 0.5

Floats = npt.NDArray[np.float64]


class CalibrationDocument(TypedDict):
    """`Calibration` as JSON."""

    scale: float
    bias: list[float]


@dataclass(frozen=True)
class Calibration:
    """Raw scores become `scale * raw + bias`; `bias` has one value for two classes, else one per class."""

    scale: float
    bias: tuple[float, ...]

    @classmethod
    def identity(cls, classes: int) -> Calibration:
        """The calibration that changes nothing."""
        return cls(1.0, (0.0,) * (1 if classes == 2 else classes))

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.scale == 1.0 and not any(self.bias)

    def to_json(self) -> dict[str, float | list[float]]:
        """The calibration as JSON."""
        return {"scale": self.scale, "bias": list(self.bias)}

    @classmethod
    def from_json(cls, data: CalibrationDocument) -> Calibration:
        """The calibration that `to_json` wrote."""
        return cls(float(data["scale"]), tuple(float(value) for value in data["bias"]))


def fit_calibration(
    raw: np.ndarray, label_index: np.ndarray, classes: int, weights: Sequence[float] = ()
) -> Calibration:
    """The calibration that minimises the log loss of rows that the model was not fitted on.

    `raw`: CatBoost's RawFormulaVal in any float dtype, of shape (n,) or (n, 1) for two classes (the log-odds
    of the last), else (n, classes). `label_index`, of shape (n,): the number of each row's class.

    Without bias this is temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017;
    scale = 1 / temperature). For a model fitted with class `weights` there is a bias too: Platt's scaling
    for two classes (Platt, Probabilistic Outputs for Support Vector Machines, 1999), its softmax for more.
    A weak prior holds the scale near 1, and the biases near what takes the weights out of the scores again
    (-log of each weight: Elkan, "The foundations of cost-sensitive learning", 2001); the scale stays within
    0.05 and 20. So few or perfectly separated rows do no harm. On these rows the log loss is never worse than
    the prior's; without rows it is the prior's. Raises ValueError when the scores have another shape.
    """
    # Here, because the service imports this module and never fits: SciPy's optimizers take 0.2 s.
    from scipy.optimize import minimize

    prior = Calibration(1.0, _compute_prior_biases(weights, classes))
    with_bias = bool(weights)
    truth = np.asarray(label_index, dtype=np.intp)
    centre = np.array(prior.bias)
    scores = np.asarray(raw, dtype=np.float64).reshape(len(truth), len(centre))
    rows = len(truth)
    if rows == 0:
        return prior
    strength = 1.0 / _PRIOR_DEVIATION**2

    def objective(parameters: Floats) -> tuple[float, Floats]:
        """Mean log loss plus the prior's part, and its gradient, in (log scale, biases from the centre)."""
        scale = np.exp(parameters[0])
        bias = centre + parameters[1:] if with_bias else centre
        losses, slopes = _compute_log_losses(scale * scores + bias, truth)
        gradient = strength * parameters / rows
        gradient[0] += scale * np.sum(slopes * scores) / rows
        if with_bias:
            gradient[1:] += slopes.sum(axis=0) / rows
        return losses.mean() + 0.5 * strength * float(parameters @ parameters) / rows, gradient

    start = np.zeros(1 + (len(centre) if with_bias else 0))
    limits = [(np.log(_LEAST_SCALE), np.log(_GREATEST_SCALE)), *((None, None) for _ in start[1:])]
    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 500}
    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=limits, options=options).x
    bias = tuple(float(value) for value in centre + best[1:]) if with_bias else prior.bias
    calibration = Calibration(float(np.clip(np.exp(best[0]), _LEAST_SCALE, _GREATEST_SCALE)), bias)
    before = _compute_log_losses(scores + centre, truth)[0].mean()
    after = _compute_log_losses(calibration.scale * scores + np.array(calibration.bias), truth)[0].mean()
    return calibration if after < before else prior


def _compute_prior_biases(weights: Sequence[float], classes: int) -> tuple[float, ...]:
    """The biases that take class weights out of raw scores: of the last of two classes, or of each."""
    if not weights:
        return Calibration.identity(classes).bias
    logs = np.log(np.asarray(weights, dtype=np.float64))
    shift = logs[:1] - logs[1:] if classes == 2 else -(logs - logs.mean())
    return tuple(float(value) for value in shift)


def apply_calibration(model: Any, calibration: Calibration) -> None:
    """Calibrate a CatBoost classifier in place, which its file then keeps.

    The calibration is applied to the model's present raw scores: a second one comes on top of the first.
    """
    if calibration.is_identity:
        return
    scale, bias = _read_scale_and_bias(model)
    _set_scale_and_bias(
        model, calibration.scale * scale, calibration.scale * bias + np.array(calibration.bias)
    )


def copy_without_calibration(model: Any) -> tuple[Any, float, Floats]:
    """A copy of a CatBoost model with scale 1 and bias 0, and the scale and bias that the model has.

    The bias is of shape (1,), or (classes,) for more than two classes.
    """
    scale, bias = _read_scale_and_bias(model)
    copy = model.copy()
    _set_scale_and_bias(copy, 1.0, np.zeros_like(bias))
    return copy, scale, bias


def compute_shap_values(model: Any, pool: Any, thread_count: int) -> Floats:
    """SHAP values of the calibrated raw score (Lundberg et al., Nature Machine Intelligence, 2020).

    Of shape (n, features + 1), or (n, classes, features + 1) for more than two classes; the last column is
    the expected value, and a row's sum is its raw score. CatBoost refuses them for a model with a scale, or
    leaves the scale out; being linear in the score, they are the plain model's, scaled.
    """
    bare, scale, bias = copy_without_calibration(model)
    values = np.asarray(
        bare.get_feature_importance(pool, type="ShapValues", thread_count=thread_count), dtype=np.float64
    )
    values *= scale
    values[..., -1] += bias if values.ndim == 3 else bias[0]
    return values


def _compute_log_losses(scores: Floats, truth: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Each row's log loss in nats, of shape (n,), and its derivative by the scores, of their shape."""
    if scores.shape[1] == 1:
        positive = scores[:, 0]
        losses = np.logaddexp(0.0, np.where(truth == 1, -positive, positive))
        # The logistic function by tanh, which does not overflow.
        return losses, (0.5 * (1.0 + np.tanh(0.5 * positive)) - truth)[:, None]
    shifted = scores - scores.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=1, keepdims=True)
    each = np.arange(len(truth))
    slopes = powers / sums
    slopes[each, truth] -= 1.0
    return np.log(sums[:, 0]) - shifted[each, truth], slopes


def _read_scale_and_bias(model: Any) -> tuple[float, Floats]:
    scale, bias = model.get_scale_and_bias()
    return float(scale), np.atleast_1d(np.asarray(bias, dtype=np.float64))


def _set_scale_and_bias(model: Any, scale: float, bias: Floats) -> None:
    values = [float(value) for value in bias]
    model.set_scale_and_bias(float(scale), values if len(values) > 1 else values[0])
