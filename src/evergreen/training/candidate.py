"""Make and judge a candidate: fit its models, and put it beside champion and baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.model.calibration import Calibration, compute_shap_values, copy_without_calibration
from evergreen.model.decision import set_class_weights
from evergreen.model.judging.resampling import draw_resamples
from evergreen.model.matrix import build_pool, select_rows
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.predictions import Predictions
from evergreen.registry.connection import retry_while_unreachable
from evergreen.settings import Settings
from evergreen.store.history.training_set import TrainingSet
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.data.checks import check_inputs
from evergreen.training.data.split import Cut, number_entities, split_training_set
from evergreen.training.fit.baselines import fit_dummy, fit_linear
from evergreen.training.fit.clock import Clock
from evergreen.training.fit.device import choose_task_type
from evergreen.training.fit.digest import digest_model
from evergreen.training.fit.fitting import Machine, compute_class_weights, fit_model
from evergreen.training.judge import evaluation as evaluating
from evergreen.training.judge.answers import find_holdout_rows, score_baseline, score_holdout
from evergreen.training.judge.contest import score_champion
from evergreen.training.judge.footprint import measure_latencies_ms, measure_size_bytes
from evergreen.training.judge.learning import compute_learning_curve
from evergreen.training.judge.replay import replay_requests
from evergreen.training.record import pictures
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)

# Rows of the hold-out whose SHAP values are taken: enough for a mean, and a second's work at most.
_SHAP_ROWS = 500


@dataclass(frozen=True)
class Rows:
    """A training set as arrays: `columns` of stored and on-demand features, `label`, and how it is cut.

    All of one length n; `label` holds class names (object) or float64.
    """

    frame: pd.DataFrame
    columns: dict[str, np.ndarray]
    label: np.ndarray
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Candidate:
    """A candidate's models, its answers on the rows that were held out, its evaluation (JSON-able), and
    pictures of it by file."""

    model: Any
    holdout_models: tuple[Any, ...]
    label: np.ndarray
    answers: Predictions
    evaluation: dict[str, Any]
    pictures: dict[str, bytes]


def prepare_rows(use_case: UseCase, training_set: TrainingSet) -> Rows:
    """Compute the on-demand features of a training set and divide it. Raises NotEnoughData."""
    frame = training_set.frame
    label = frame[use_case.label.name]
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    check_inputs(use_case, columns)
    return Rows(
        frame=frame,
        columns=columns,
        label=label.to_numpy(dtype=object if use_case.label.classes else np.float64),
        cuts=split_training_set(use_case, frame),
    )


def choose_machine(settings: Settings, use_case: UseCase) -> Machine:
    """What models of that use case are fitted on, by the settings."""
    searched = [each.parameter for each in use_case.tuning.space]
    return Machine(settings.threads, choose_task_type(settings, searched))


def fit_models(
    use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine
) -> tuple[Any, tuple[Any, ...]]:
    """The registered model, fitted on all rows, and the hold-out models. Same arguments, same bytes."""
    return _fit_registered_model(use_case, given, tuned, on), _fit_holdout_models(use_case, given, tuned, on)


def build_candidate(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    run: TrainingRun,
    given: Rows,
    tuned: Mapping[str, Any],
) -> Candidate:
    """Fit candidate and baselines, and compare them with the champion on the rows that were held out.

    The comparison is computed and drawn beside the later fits, which leave a processor idle now and then.
    """
    on = choose_machine(settings, use_case)
    held_out = find_holdout_rows(given.cuts)
    label, columns = given.label[held_out], select_rows(given.columns, held_out)
    logger.info("fitting on %d rows, judging on %d", int(given.cuts[0].train.sum()), len(label))
    with ThreadPoolExecutor(1, "beside") as beside:
        fitted = beside.submit(lambda: _score_baselines(use_case, given, on.clock))
        holdout_models = _fit_holdout_models(use_case, given, tuned, on)
        answers = score_holdout(use_case, holdout_models, given.columns, given.cuts)
        other = retry_while_unreachable(
            lambda: score_champion(settings, use_case, given.frame, given.columns, given.cuts)
        )

        def compared() -> dict[str, Any]:
            resampled = draw_resamples(number_entities(use_case, given.frame[held_out]), use_case.tuning.seed)
            contestants = {"candidate": answers, "champion": other.scores, **fitted.result()}
            return {
                **evaluating.compare_contestants(use_case, label, contestants, resampled),
                "calibration": _evaluate_calibration(use_case, given, tuned, holdout_models, label, answers),
                "slices": evaluating.evaluate_slices(use_case, columns, label, answers),
                "champion_slices": evaluating.evaluate_slices(use_case, columns, label, other.scores)
                if other.scores is not None
                else None,
            }

        comparison = beside.submit(compared)
        drawn_beside = beside.submit(
            lambda: pictures.draw_answers(use_case, tuned, label, answers, comparison.result())
        )
        model = _fit_registered_model(use_case, given, tuned, on)
        curve = _compute_learning_curve(use_case, given, tuned, on, holdout_models[0])
        importance = _compute_importance(use_case, model, columns, on)
        document: dict[str, Any] = {"metric": use_case.gate.metric, **comparison.result()}
        drawn = {**drawn_beside.result(), **pictures.draw_model(use_case, importance, curve)}
    champion = other.model
    timed = [model] if champion is None else [model, champion.model]
    latencies = [round(each, 4) for each in measure_latencies_ms(use_case, timed, columns)]
    document |= {
        "champion_version": other.version,
        "remark": other.remark,
        "train_rows": int(given.cuts[0].train.sum()),
        "holdout_rows": len(label),
        "holdout_from": given.frame[held_out][EVENT_TIME].min().isoformat(),
        "size_bytes": measure_size_bytes(model),
        "latency_ms": latencies[0],
        "champion_footprint": {"size_bytes": champion.size_bytes, "latency_ms": latencies[1]}
        if champion is not None
        else None,
        "replay": replay_requests(database, use_case, model, champion, run.as_of),
        "importance": importance,
        "learning_curve": curve,
        "model_digest": digest_model(model),
        "holdout_digests": [digest_model(each) for each in holdout_models],
        "task_type": on.task_type,
    }
    document["seconds"] = on.clock.to_json()
    return Candidate(model, holdout_models, label, answers, document, drawn)


def _fit_registered_model(use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine) -> Any:
    return fit_model(use_case, given.columns, given.label, tuned["params"], on, _read_calibration(tuned))


def _fit_holdout_models(
    use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine
) -> tuple[Any, ...]:
    return tuple(
        fit_model(
            use_case,
            select_rows(given.columns, cut.train),
            given.label[cut.train],
            tuned["params"],
            on,
            _read_calibration(tuned),
        )
        for cut in given.cuts
    )


def _score_baselines(use_case: UseCase, given: Rows, clock: Clock) -> dict[str, Predictions]:
    """The linear model decides by the candidate's class weights; a guess has nothing to weigh."""
    weights = compute_class_weights(use_case, given.label)
    found = {}
    for name, fit_one, weighed in (("linear", fit_linear, weights), ("dummy", fit_dummy, ())):
        models = [
            fit_one(use_case, select_rows(given.columns, cut.train), given.label[cut.train], clock)
            for cut in given.cuts
        ]
        answer = partial(score_baseline, weights=weighed)
        found[name] = score_holdout(use_case, models, given.columns, given.cuts, of=answer)
    return found


def _compute_learning_curve(
    use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine, whole: Any
) -> list[dict[str, Any]]:
    recipe = tuned["params"], on, _read_calibration(tuned)
    return compute_learning_curve(use_case, given.columns, given.label, given.cuts[0], *recipe, whole)


def _read_calibration(tuned: Mapping[str, Any]) -> Calibration | None:
    found = tuned.get("calibration")
    return Calibration.from_json(found) if found else None


def _evaluate_calibration(
    use_case: UseCase,
    given: Rows,
    tuned: Mapping[str, Any],
    models: tuple[Any, ...],
    label: np.ndarray,
    after: Predictions,
) -> dict[str, Any] | None:
    found = _read_calibration(tuned)
    if found is None or not use_case.label.classes:
        return None
    bare = [copy_without_calibration(model)[0] for model in models]
    for model in bare:
        set_class_weights(model, ())  # they are in its scores still
    before = score_holdout(use_case, bare, given.columns, given.cuts)
    return evaluating.evaluate_calibration(use_case, label, before, after, found.scale, list(found.bias))


def _compute_importance(
    use_case: UseCase, model: Any, columns: Mapping[str, np.ndarray], on: Machine
) -> dict[str, float]:
    """Mean absolute SHAP value of each input over some of the hold-out, greatest first."""
    length = len(next(iter(columns.values())))
    some = np.zeros(length, dtype=bool)
    some[np.linspace(0, length - 1, min(length, _SHAP_ROWS)).astype(int)] = True
    values = np.abs(
        compute_shap_values(model, build_pool(use_case, select_rows(columns, some)), on.thread_count)
    )[..., :-1]
    if values.ndim == 3:
        values = values.mean(axis=1)
    means = values.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    return {str(model.feature_names_[index]): round(float(means[index]), 6) for index in order}
