"""Chooses the window of a training among those that a decision allows, on the newest rows.

A model with CatBoost's defaults is fitted on each window without the newest rows, and the window with the
smallest loss on these is chosen (the same rows for all). What is trained then has all rows of the window.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import select_rows
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.predict import predict_inputs
from evergreen.settings import Settings
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.data.split import MINIMUM_ROWS
from evergreen.training.data.training_window import TrainingWindow, WindowPlan, WindowTrial
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.training.fit.parameters import Parameters
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)

_PARAMS: Parameters = {"iterations": 200}


def choose_training_window(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun, plan: WindowPlan
) -> TrainingWindow:
    """The window of a run: the only one of the plan, or of several the one with the smallest loss.

    Where labels have no event time, or too few rows are known for a split, it is the longest. Raises what
    `read_training_set` raises.
    """
    longest = TrainingWindow(plan.candidates[0].name, plan.candidates[0].start)
    if len(plan.candidates) == 1 or use_case.label.event_time is None:
        return longest
    training_set = read_training_set(
        database,
        use_case,
        run.as_of,
        longest.start,
        cache=settings.cache_folder if settings.cache_mb else None,
        cache_mb=settings.cache_mb,
    )
    frame = training_set.frame
    times = frame[EVENT_TIME].to_numpy(dtype="datetime64[us]")
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    label = frame[use_case.label.name].to_numpy(dtype=object if use_case.label.classes else np.float64)
    machine = Machine(threads=settings.threads)
    trials = try_windows(use_case, plan, times, columns, label, machine)
    rivals = [trial for trial in trials if trial.loss is not None]
    best = min(rivals, key=lambda trial: trial.loss or 0.0) if rivals else trials[0]
    for trial in trials:
        text = trial.remark if trial.loss is None else f"loss {trial.loss:.4f}"
        logger.info("training window %s: %s rows, %s", trial.name, trial.rows, text)
    return TrainingWindow(best.name, best.start, tuple(trials))


def try_windows(
    use_case: UseCase,
    plan: WindowPlan,
    times: npt.NDArray[np.datetime64],
    columns: dict[str, np.ndarray],
    label: np.ndarray,
    machine: Machine,
) -> list[WindowTrial]:
    """Each window with its rows and its loss on the newest rows.

    `times` (naive UTC), `columns` and `label` are those of the longest window, of shape (n,), in any order.
    Of windows with the same rows the first is fitted. The loss is the log loss, for numbers the RMSE.
    """
    cut = _find_cut(times, plan)
    tail = times > cut if cut is not None else np.zeros(len(times), dtype=bool)
    trials: list[WindowTrial] = []
    fitted_rows: set[int] = set()
    for window in plan.candidates:
        rows = ~tail
        if window.start is not None:
            rows = rows & (times > _to_numpy(window.start))
        count = int(rows.sum())
        remark = _explain_refusal(use_case, label[rows], label[tail], count, fitted_rows)
        if remark:
            trials.append(replace(window, rows=count, remark=remark))
            continue
        fitted_rows.add(count)
        model = fit_model(use_case, select_rows(columns, rows), label[rows], _PARAMS, machine)
        scores = predict_inputs(use_case, model, select_rows(columns, tail))
        metric = "rmse" if use_case.problem == "regression" else "log_loss"
        loss = compute_metrics(use_case, label[tail], scores, [metric]).get(metric)
        trials.append(replace(window, rows=count, loss=loss, remark="" if loss is not None else "no loss"))
    return trials


def _find_cut(times: npt.NDArray[np.datetime64], plan: WindowPlan) -> np.datetime64 | None:
    """The event time after which the rows lie that windows are validated on; None where all have one time.

    They are the newest `validation_share` of the smallest window, so that every window has rows before them,
    and at most half of the rows since a change that shows. A window without a row beyond one is passed over.
    """
    distinct = np.unique(times)
    if len(distinct) < 2:
        return None
    sizes = [
        _count_since(times, window.start) * plan.validation_share
        for window in plan.candidates
        if window.start is None or window.start != plan.drift_since
    ]
    if plan.drift_since is not None:
        sizes.append(_count_since(times, plan.drift_since) / 2)
    count = int(min((size for size in sizes if size >= 1), default=1))
    cut: np.datetime64 = np.sort(times)[max(len(times) - count - 1, 0)]
    newest_but_one: np.datetime64 = distinct[-2]
    return min(cut, newest_but_one)


def _count_since(times: npt.NDArray[np.datetime64], start: datetime | None) -> int:
    return len(times) if start is None else int((times > _to_numpy(start)).sum())


def _to_numpy(moment: datetime) -> np.datetime64:
    return np.datetime64(to_naive_utc(moment), "us")


def _explain_refusal(
    use_case: UseCase, label: np.ndarray, tail: np.ndarray, count: int, fitted_rows: set[int]
) -> str:
    """Why a window is not fitted; "" where it is. Windows end at the same row, so that their number of rows
    tells them apart."""
    if len(tail) == 0:
        return "all rows have one event time"
    if count < MINIMUM_ROWS:
        return f"fewer than {MINIMUM_ROWS} rows before the newest"
    if count in fitted_rows:
        return "the rows of a window before"
    different = np.unique(label.astype(str)) if use_case.label.classes else np.unique(label)
    if len(different) < max(2, len(use_case.label.classes)):
        return "a class without rows" if use_case.label.classes else "one label only"
    return ""
