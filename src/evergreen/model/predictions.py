"""What a model predicts for n rows, and the answer that one of these rows gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Answer:
    """One row's prediction: a class name, or a number. The other two fields are None for numbers.

    `probabilities` are by class, in the order of the classes, and `probability` is that of the predicted
    class: with class weights not always the greatest one.
    """

    prediction: str | float
    probability: float | None = None
    probabilities: dict[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of n rows.

    `predictions`, of shape (n,): class names (object), or float64. `probabilities`, of shape (n, classes) and
    float64, has a column for each of `classes`; None for numbers, which have no classes. `on_demand` are the
    on-demand features that the model saw, each of shape (n,), where `predict_rows` has computed them.
    """

    predictions: np.ndarray
    probabilities: npt.NDArray[np.float64] | None
    classes: tuple[str, ...] = ()
    on_demand: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def probability(self) -> npt.NDArray[np.float64] | None:
        """The predicted class's probability, of shape (n,); None for numbers."""
        if self.probabilities is None:
            return None
        names: np.ndarray = np.array(self.classes, dtype=object)
        # Each row's predicted class stands in one column only, so the sum has one term.
        shares = np.where(self.predictions[:, None] == names, self.probabilities, 0.0)
        return np.asarray(shares.sum(axis=1), dtype=np.float64)

    def list_answers(self) -> list[Answer]:
        """The answer of each row, as Python's own types."""
        values: list[str | float] = self.predictions.tolist()
        if self.probabilities is None:
            return [Answer(value) for value in values]
        answers = []
        for value, shares in zip(values, self.probabilities.tolist(), strict=True):
            by_class = dict(zip(self.classes, shares, strict=True))
            answers.append(Answer(value, by_class[str(value)], by_class))
        return answers
