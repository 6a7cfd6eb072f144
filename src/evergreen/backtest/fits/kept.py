"""Fitted models on disk: the model as CatBoost writes it, and beside it the record of its fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evergreen.backtest.fits.fitting import FitRecord
from evergreen.private import replace_file, write_private_file


def find_fit(folder: Path, identity: str) -> FitRecord | None:
    """The record of a fit; None where it was not done, or not to its end."""
    try:
        return FitRecord.from_json(json.loads(_record_path(folder, identity).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def keep_fit(folder: Path, identity: str, model: Any | None, record: FitRecord) -> None:
    """Write model and record. The record comes last: a fit with a record has its whole model."""
    if model is not None:
        with replace_file(_model_path(folder, identity)) as draft:
            model.save_model(str(draft))
    write_private_file(_record_path(folder, identity), json.dumps(record.to_json()))


def load_fitted_model(folder: Path, identity: str, *, is_classifier: bool) -> Any:
    """The model of a fit that has one."""
    # CatBoost takes about a second to load, which commands that fit nothing must not spend.
    from catboost import CatBoostClassifier, CatBoostRegressor

    model = CatBoostClassifier() if is_classifier else CatBoostRegressor()
    return model.load_model(str(_model_path(folder, identity)))


def count_fits(folder: Path) -> int:
    """How many fits are kept."""
    return sum(1 for _ in folder.glob("*.json"))


def _model_path(folder: Path, identity: str) -> Path:
    return folder / f"{identity}.cbm"


def _record_path(folder: Path, identity: str) -> Path:
    return folder / f"{identity}.json"
