"""A simulated problem of two classes whose inputs move while its concept stays: covariate shift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.model.calibration import fit_calibration
from evergreen.model.matrix import build_pool
from evergreen.model.predict import predict_inputs
from evergreen.model.predictions import Predictions
from evergreen.training.fit.fitting import Machine, build_model, fit_catboost, fit_model
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase

WINDOWS = 60
WINDOW_ROWS = 2_000
TRAINING_ROWS = 16_000
HOLDOUT_ROWS = 4_000
NUMBERS = 8
CATEGORIES = ("a", "b", "c", "d", "e")
# The greatest distance of a window's mean from the training's, in standard deviations, in any direction.
_GREATEST_SHIFT = 2.0
_EFFECTS = np.array([-1.0, -0.3, 0.0, 0.4, 1.0])
_PARAMS = {"depth": 5, "learning_rate": 0.08}

USE_CASE = UseCase(
    name="shifted",
    title="Shifted",
    meaning="Is it so?",
    entity=Entity("thing", (Key("thing_id", "int", "Its number"),)),
    views=(
        FeatureView(
            "facts",
            FileSource("facts.csv"),
            (
                *(Feature(f"x{n}", "float", "A number") for n in range(NUMBERS)),
                Feature("kind", "category", "A kind"),
            ),
            "What is known of a thing.",
        ),
    ),
    label=Label("outcome", FileSource("facts.csv"), "Was it so?", classes=("no", "yes")),
)


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows: `columns` as a model takes them, `label` as class names, `chance` of the class "yes"."""

    columns: dict[str, np.ndarray]
    label: np.ndarray
    chance: np.ndarray


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with the answers of a model that was not fitted on them."""

    rows: Rows
    answers: Predictions

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float((self.answers.predictions == self.rows.label).mean())

    @property
    def expected_accuracy(self) -> float:
        """The same without the chance of the outcomes."""
        chance = self.rows.chance
        return float(np.where(self.answers.predictions == "yes", chance, 1.0 - chance).mean())


def draw_rows(
    rng: np.random.Generator,
    count: int,
    *,
    move: np.ndarray | float = 0.0,
    scale: np.ndarray | float = 1.0,
    mix: np.ndarray | None = None,
) -> Rows:
    """Rows whose numbers are scaled and moved, with kinds of these shares. The concept is always the same."""
    numbers = rng.normal(size=(count, NUMBERS))
    numbers[:, 1] = 0.5 * numbers[:, 0] + np.sqrt(0.75) * numbers[:, 1]
    numbers = numbers * scale + move
    kinds = rng.choice(len(CATEGORIES), count, p=mix)
    score = (
        1.2 * numbers[:, 0]
        - 0.8 * numbers[:, 1]
        + 1.5 * np.tanh(numbers[:, 2] * numbers[:, 3])
        + 0.9 * np.sin(2.0 * numbers[:, 4])
        + _EFFECTS[kinds] * (0.6 + numbers[:, 5])
        - 0.4
    )
    chance = 1.0 / (1.0 + np.exp(-1.3 * score))
    columns = {f"x{n}": numbers[:, n].copy() for n in range(NUMBERS)}
    columns["kind"] = np.array(CATEGORIES, dtype=object)[kinds]
    label = np.where(rng.random(count) < chance, "yes", "no").astype(object)
    return Rows(columns, label, chance)


def fit_calibrated_model(rows: Rows, seed: int) -> Any:
    """A model of these rows as a training makes it: stopped early and calibrated on a fifth of them."""
    machine, count = Machine(2), len(rows.label) // 5
    fit, check = (
        {n: v[part] for n, v in rows.columns.items()} for part in (slice(count, None), slice(count))
    )
    label, check_label = rows.label[count:], rows.label[:count]
    params = {**_PARAMS, "iterations": 600, "random_seed": seed}
    pool = build_pool(USE_CASE, check, check_label)
    model = fit_catboost(
        build_model(USE_CASE, params, machine),
        USE_CASE,
        build_pool(USE_CASE, fit, label),
        eval_set=pool,
        early_stopping_rounds=40,
    )
    raw = np.asarray(model.predict(pool, prediction_type="RawFormulaVal"), dtype=np.float64)
    calibration = fit_calibration(raw, (check_label == "yes").astype(np.int64), 2)
    params["iterations"] = int(model.get_best_iteration()) + 1
    return fit_model(USE_CASE, fit, label, params, machine, calibration)


def score_rows(model: Any, rows: Rows) -> Scored:
    """The rows with the model's answers."""
    return Scored(rows, predict_inputs(USE_CASE, model, rows.columns))


def draw_windows(seed: int, count: int = WINDOWS) -> Iterator[Rows]:
    """Windows of covariate shift, each in a direction of its own, most with another mix of kinds too."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        direction = rng.normal(size=NUMBERS)
        distance = rng.uniform(0.0, _GREATEST_SHIFT)
        move = distance * direction / np.linalg.norm(direction)
        scale = np.exp(rng.normal(0.0, 0.25, NUMBERS) * min(1.0, distance))
        mix = rng.dirichlet(np.full(len(CATEGORIES), 1.5)) if rng.random() < 0.7 else None
        yield draw_rows(rng, WINDOW_ROWS, move=move, scale=scale, mix=mix)
