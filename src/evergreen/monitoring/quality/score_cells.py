"""Predictions of classes counted in cells of similar rows, and the metrics that follow from the cells.

A cell has the rows of one region, predicted class and hundredth of the confidence. MariaDB counts them, so
that no row travels; whether the right ones among them are known or only expected makes no difference here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evergreen.usecase import Problem, UseCase

Floats: TypeAlias = npt.NDArray[np.float64]

# The metrics that follow from cells; others need whole rows.
CELL_METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": (
        *("accuracy", "balanced_accuracy", "precision", "recall", "f1"),
        *("log_loss", "brier", "roc_auc", "pr_auc"),
    ),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
# How many cells the confidences from 0 to 1 are divided into.
CONFIDENCE_CELLS = 100


@dataclass(frozen=True, eq=False)
class ScoreCells:
    """n cells; every field is of shape (n,).

    `rows` is their number, `regions` that of the cell's region in the error profile, `positive` whether the
    last of two classes is predicted (false for more classes), `confidence` the mean probability of the
    predicted class, `loss_right` and `loss_wrong` the sums of the log losses (nats) that its rows have where
    they are right or wrong, in a problem of two classes.
    """

    rows: Floats
    regions: npt.NDArray[np.intp]
    positive: npt.NDArray[np.bool_]
    confidence: Floats
    loss_right: Floats
    loss_wrong: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def total(self) -> int:
        """The number of rows in all cells."""
        return int(self.rows.sum())


def choose_metrics(use_case: UseCase) -> tuple[str, ...]:
    """The metrics of a use case that are followed: accuracy and the gate's, or those of numbers."""
    possible = CELL_METRICS[use_case.problem]
    if use_case.problem == "regression":
        return possible
    names = ("accuracy", use_case.gate.metric)
    return tuple(dict.fromkeys(name for name in names if name in possible))


def join_cells(pieces: list[ScoreCells]) -> ScoreCells:
    """The cells of all pieces together."""
    return ScoreCells(
        *(
            np.concatenate([getattr(piece, name) for piece in pieces])
            for name in ("rows", "regions", "positive", "confidence", "loss_right", "loss_wrong")
        )
    )


def count_cells(
    confidence: Floats, positive: npt.NDArray[np.bool_], regions: npt.NDArray[np.intp]
) -> ScoreCells:
    """The cells of n rows in memory, each field of shape (n,): what MariaDB counts of logged rows."""
    places = np.minimum(np.floor(confidence * CONFIDENCE_CELLS), CONFIDENCE_CELLS - 1).astype(np.int64)
    keys = (regions * 2 + positive) * CONFIDENCE_CELLS + places
    cells, codes = np.unique(keys, return_inverse=True)

    def add(values: Floats) -> Floats:
        return np.bincount(codes, values, minlength=len(cells)).astype(np.float64)

    rows = add(np.ones(len(keys)))
    return ScoreCells(
        rows,
        (cells // CONFIDENCE_CELLS // 2).astype(np.intp),
        (cells // CONFIDENCE_CELLS % 2).astype(bool),
        add(confidence) / rows,
        add(-np.log(np.maximum(confidence, _LEAST))),
        add(-np.log(np.maximum(1.0 - confidence, _LEAST))),
    )


# As scikit-learn clips probabilities: to what float64 tells from 0.
_LEAST = float(np.finfo(np.float64).eps)


def compute_cell_metric(metric: str, cells: ScoreCells, rows: Floats, right: Floats) -> Floats:
    """A metric of `CELL_METRICS` for classes, of shape (draws,); NaN where it is undefined.

    `rows` and `right`, of shape (draws, n) or (1, n): how many rows each cell has, and how many of them are
    right, also as fractions. The curves' areas are those of the cells: rows of a cell tie.
    """
    if metric == "accuracy":
        return _divide(right.sum(axis=1), rows.sum(axis=1))
    if metric == "log_loss":
        share = _divide(right, rows, 0.0)
        scale = _divide(rows, np.broadcast_to(cells.rows, rows.shape), 0.0)
        loss = scale * (share * cells.loss_right + (1.0 - share) * cells.loss_wrong)
        return _divide(loss.sum(axis=1), rows.sum(axis=1))
    if metric == "brier":
        loss = right * (1.0 - cells.confidence) ** 2 + (rows - right) * cells.confidence**2
        return _divide(loss.sum(axis=1), rows.sum(axis=1))
    wrong = rows - right
    positives = np.where(cells.positive, right, wrong)
    negatives = rows - positives
    if metric in ("roc_auc", "pr_auc"):
        return _compute_area(metric, cells, positives, negatives)
    hits = np.where(cells.positive, right, 0.0).sum(axis=1)
    precision = _divide(hits, np.where(cells.positive, rows, 0.0).sum(axis=1), 0.0)
    recall = _divide(hits, positives.sum(axis=1), 0.0)
    match metric:
        case "precision":
            return precision
        case "recall":
            return recall
        case "f1":
            return _divide(2.0 * precision * recall, precision + recall, 0.0)
        case "balanced_accuracy":
            true_negatives = np.where(cells.positive, 0.0, right).sum(axis=1)
            recalls = np.array(
                [_divide(hits, positives.sum(axis=1)), _divide(true_negatives, negatives.sum(axis=1))]
            )
            present = np.isfinite(recalls)
            return _divide(np.where(present, recalls, 0.0).sum(axis=0), present.sum(axis=0).astype(float))
    raise AssertionError(metric)


def _compute_area(metric: str, cells: ScoreCells, positives: Floats, negatives: Floats) -> Floats:
    """The area under the ROC curve (Mann-Whitney, ties count half), or the average precision."""
    score = np.where(cells.positive, cells.confidence, 1.0 - cells.confidence)
    order = np.argsort(-score, kind="stable")
    positives, negatives = positives[:, order], negatives[:, order]
    above, all_positive = positives.cumsum(axis=1), positives.sum(axis=1)
    if metric == "roc_auc":
        wins = ((above - 0.5 * positives) * negatives).sum(axis=1)
        return _divide(wins, all_positive * negatives.sum(axis=1))
    precision = _divide(above, above + negatives.cumsum(axis=1), 0.0)
    return _divide((precision * positives).sum(axis=1), all_positive)


def _divide(value: Floats, by: Floats, undefined: float = np.nan) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(by > 0.0, value / by, undefined), dtype=np.float64)
