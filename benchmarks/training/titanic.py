"""How well titanic's features rank passengers: repeated stratified cross-validation on the real file.

The judged parameters are the middle of the declared search space, where every search begins: nothing is
chosen on the folds. `nested` runs the declared search inside each training fold instead, as a training would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.common.timing import say
from sklearn.model_selection import StratifiedKFold

from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import Columns, select_rows
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.settings import Settings
from evergreen.training.data.split import split_for_validation
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.training.judge.answers import score_model
from evergreen.training.search.samplers import create_pruner
from evergreen.training.search.search_result import build_search_result
from evergreen.training.search.worker import run_trials
from evergreen.usecase import EVENT_TIME, TIMELESS, FileSource, UseCase

FOLDS = 5
TREES = 300
ROOT = Path(__file__).resolve().parents[2]
_USUAL = ROOT.parent / "shared" / "data" / "titanic" / "train.csv"

Fit = Callable[[pd.DataFrame, Columns, np.ndarray], Any]


@dataclass(frozen=True)
class Fold:
    """One fold of one repetition: what the model says of passengers that it was not fitted on."""

    repeat: int
    roc_auc: float
    accuracy: float


@dataclass(frozen=True)
class Titanic:
    """Every fold, with the fixed parameters and by the declared search."""

    rows: int
    fixed: list[Fold]
    nested: list[Fold]


def file_of(use_case: UseCase, settings: Settings, csv: Path | None) -> Path:
    """The named file, or the one beside the checkout, or the declared one. It may not exist."""
    if csv is not None:
        return csv
    if _USUAL.is_file():
        return _USUAL
    source = use_case.views[0].source
    assert isinstance(source, FileSource)
    return Path(settings.sources.get(use_case.name) or source.path)


def middle(use_case: UseCase) -> dict[str, Any]:
    """The parameters in the middle of the declared space."""
    return {searched.parameter: searched.middle for searched in use_case.tuning.space}


def measure(use_case: UseCase, csv: Path, repeats: int, nested: int, threads: int = 0) -> Titanic:
    """`repeats` of the fixed parameters, and `nested` ones of the search."""
    machine = Machine(threads)

    def fixed(_frame: pd.DataFrame, columns: Columns, label: np.ndarray) -> Any:
        return fit_model(use_case, columns, label, {**middle(use_case), "iterations": TREES}, machine)

    def searched(frame: pd.DataFrame, columns: Columns, label: np.ndarray) -> Any:
        return _searched(use_case, frame, columns, label, machine)

    frame = passengers(use_case, csv)
    say(f"titanic: {repeats} x {FOLDS} folds, {nested} x {FOLDS} with a search in each")
    return Titanic(
        rows=len(frame),
        fixed=cross_validate(use_case, frame, range(repeats), fixed),
        nested=cross_validate(use_case, frame, range(nested), searched),
    )


def passengers(use_case: UseCase, csv: Path) -> pd.DataFrame:
    """The file as a training set's frame: key, event time, stored features and label."""
    raw = pd.read_csv(csv)
    return pd.DataFrame(
        {
            **{key.name: raw[key.column or key.name] for key in use_case.entity.keys},
            EVENT_TIME: pd.Timestamp(TIMELESS),
            **{feature.name: raw[feature.source_column] for feature in use_case.stored_features},
            use_case.label.name: raw[use_case.label.source_column].astype(str).astype(object),
        }
    )


def cross_validate(use_case: UseCase, frame: pd.DataFrame, repeats: Sequence[int], made: Fit) -> list[Fold]:
    """Every fold of stratified cross-validations with these seeds, judged by a model made without it."""
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    label = frame[use_case.label.name].to_numpy(dtype=object)
    folds = []
    for repeat in repeats:
        for _, places in StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(label, label):
            test = np.zeros(len(label), dtype=bool)
            test[places] = True
            model = made(frame[~test], select_rows(columns, ~test), label[~test])
            found = compute_metrics(
                use_case, label[test], score_model(use_case, model, select_rows(columns, test))
            )
            folds.append(Fold(repeat, found["roc_auc"], found["accuracy"]))
    return folds


def roc_auc(folds: Sequence[Fold]) -> float:
    return mean(fold.roc_auc for fold in folds)


def _searched(
    use_case: UseCase, frame: pd.DataFrame, columns: Columns, label: np.ndarray, machine: Machine
) -> Any:
    """The best recipe of the declared search on these rows alone, fitted on all of them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", pruner=create_pruner(use_case))
    run_trials(study, use_case, columns, label, split_for_validation(use_case, frame), machine=machine)
    best = build_search_result(study, use_case)
    return fit_model(use_case, columns, label, best.params, machine, best.calibration)
