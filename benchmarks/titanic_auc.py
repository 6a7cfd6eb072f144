"""How well titanic's features rank passengers: repeated stratified cross-validation on the real file.

    python benchmarks/titanic_auc.py --csv PATH_TO_TRAIN_CSV [--repeats 5] [--json]

Every fold is fitted with the same fixed parameters, which lie inside the declared tuning space; nothing is
chosen on the folds. Prints a table and writes benchmarks/out/titanic_auc.json. Exits 1 below ROC AUC 0.86.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evergreen.settings import load_settings
from evergreen.store.on_demand import columns_of, feature_columns
from evergreen.usecase import UseCase
from evergreen.usecases import load

REQUIRED = 0.86
PARAMETERS: dict[str, Any] = {"depth": 5, "l2_leaf_reg": 4.0, "learning_rate": 0.04, "iterations": 300}
FOLDS = 5


def pool(use_case: UseCase, columns: dict[str, np.ndarray], label: np.ndarray | None = None) -> Any:
    """CatBoost's form of the model's features; a missing category is one of its own."""
    from catboost import Pool

    frame = pd.DataFrame(
        {
            f.name: columns[f.name] if f.numeric else ["missing" if v is None else v for v in columns[f.name]]
            for f in use_case.model_features
        }
    )
    return Pool(frame, label, cat_features=[f.name for f in use_case.model_features if not f.numeric])


def labelled_columns(use_case: UseCase, csv: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every feature of the file's passengers, stored and on-demand, and whether they survived (0 or 1)."""
    raw = pd.read_csv(csv)
    stored = {feature.name: raw[feature.source_column] for feature in use_case.stored_features}
    columns = feature_columns(use_case, columns_of(pd.DataFrame(stored), use_case))
    return columns, raw[use_case.label.source_column].to_numpy(dtype=int)


def cross_validate(use_case: UseCase, csv: Path, repeats: int, threads: int = -1) -> dict[str, Any]:
    """ROC AUC and accuracy of every fold, by repeat, with their means."""
    from catboost import CatBoostClassifier
    from sklearn.metrics import accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    columns, survived = labelled_columns(use_case, csv)
    labels = survived.astype(str)
    runs = []
    for repeat in range(repeats):
        started = time.perf_counter()
        auc, accuracy = [], []
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat)
        for train, test in folds.split(survived, survived):
            fitted = CatBoostClassifier(
                **PARAMETERS,
                random_seed=repeat,
                thread_count=threads,
                verbose=False,
                allow_writing_files=False,
            ).fit(pool(use_case, {n: v[train] for n, v in columns.items()}, labels[train]))
            survival = fitted.predict_proba(pool(use_case, {n: v[test] for n, v in columns.items()}))[:, 1]
            auc.append(roc_auc_score(survived[test], survival))
            accuracy.append(accuracy_score(survived[test], survival > 0.5))
        runs.append(
            {
                "repeat": repeat,
                "roc_auc": float(np.mean(auc)),
                "roc_auc_folds": [float(value) for value in auc],
                "accuracy": float(np.mean(accuracy)),
                "seconds": time.perf_counter() - started,
            }
        )
    return {
        "rows": len(survived),
        "features": [feature.name for feature in use_case.model_features],
        "parameters": PARAMETERS,
        "folds": FOLDS,
        "runs": runs,
        "roc_auc": float(np.mean([run["roc_auc"] for run in runs])),
        "accuracy": float(np.mean([run["accuracy"] for run in runs])),
        "required_roc_auc": REQUIRED,
    }


def table(result: dict[str, Any]) -> str:
    """The result as lines to read."""
    lines = [
        f"titanic: {result['rows']} passengers, {len(result['features'])} features, "
        f"{len(result['runs'])} x {result['folds']}-fold stratified cross-validation",
        "repeat   ROC AUC  worst fold  best fold  accuracy  seconds",
    ]
    for run in result["runs"]:
        folds = run["roc_auc_folds"]
        lines.append(
            f"{run['repeat'] + 1:>6}  {run['roc_auc']:>8.4f}  {min(folds):>10.4f}  {max(folds):>9.4f}  "
            f"{run['accuracy']:>8.4f}  {run['seconds']:>7.1f}"
        )
    lines.append(f"{'mean':>6}  {result['roc_auc']:>8.4f}  {'':>10}  {'':>9}  {result['accuracy']:>8.4f}")
    lines.append(f"required: {result['required_roc_auc']}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="ROC AUC of titanic by repeated cross-validation.")
    parser.add_argument("--csv", type=Path, help="train.csv; default: the use case's declared path")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args()
    settings = load_settings()
    use_case = load("titanic", settings)
    csv = arguments.csv or Path(settings.sources.get("titanic") or use_case.views[0].source.path)  # type: ignore[union-attr]
    if not csv.is_file():
        sys.stderr.write(f"there is no file {csv}\nHint: name Kaggle's train.csv with --csv PATH\n")
        return 3
    result = cross_validate(use_case, csv, arguments.repeats)
    out = Path(__file__).parent / "out" / "titanic_auc.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write((json.dumps(result) if arguments.json else table(result)) + "\n")
    return 0 if result["roc_auc"] >= REQUIRED else 1


if __name__ == "__main__":
    raise SystemExit(main())
