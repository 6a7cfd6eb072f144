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

from evergreen.model.calibration import Calibration, plain, shap_values
from evergreen.model.decision import set_weights
from evergreen.model.judging.metrics import Scores
from evergreen.model.judging.resampling import resamples
from evergreen.model.matrix import pool, rows_of
from evergreen.model.on_demand import columns_of, feature_columns
from evergreen.registry.connection import patiently
from evergreen.settings import Settings
from evergreen.store.history.training_set import TrainingSet
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.data.checks import check_inputs
from evergreen.training.data.split import Cut, cuts, entities
from evergreen.training.fit.baselines import fit_dummy, fit_linear
from evergreen.training.fit.clock import Clock
from evergreen.training.fit.device import task_type
from evergreen.training.fit.digest import model_digest
from evergreen.training.fit.fitting import Machine, class_weights, fit
from evergreen.training.judge import evaluation as evaluating
from evergreen.training.judge.answers import baseline_scores, judged, out_of_sample
from evergreen.training.judge.contest import rival
from evergreen.training.judge.footprint import latencies_ms, size_bytes
from evergreen.training.judge.learning import learning_curve
from evergreen.training.judge.replay import replay
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
    answers: Scores
    evaluation: dict[str, Any]
    pictures: dict[str, bytes]


def rows(use_case: UseCase, training_set: TrainingSet) -> Rows:
    """Compute the on-demand features of a training set and divide it. Raises NotEnoughData."""
    frame = training_set.frame
    label = frame[use_case.label.name]
    columns = feature_columns(use_case, columns_of(frame, use_case))
    check_inputs(use_case, columns)
    return Rows(
        frame=frame,
        columns=columns,
        label=label.to_numpy(dtype=object if use_case.label.classes else np.float64),
        cuts=cuts(use_case, frame),
    )


def machine(settings: Settings, use_case: UseCase) -> Machine:
    """What models of that use case are fitted on, by the settings."""
    searched = [each.parameter for each in use_case.tuning.space]
    return Machine(settings.threads, task_type(settings, searched))


def make(
    use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine
) -> tuple[Any, tuple[Any, ...]]:
    """The registered model, fitted on all rows, and the hold-out models. Same arguments, same bytes."""
    return _registered(use_case, given, tuned, on), _holdouts(use_case, given, tuned, on)


def evaluate(
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
    on = machine(settings, use_case)
    held_out = judged(given.cuts)
    label, columns = given.label[held_out], rows_of(given.columns, held_out)
    logger.info("fitting on %d rows, judging on %d", int(given.cuts[0].train.sum()), len(label))
    with ThreadPoolExecutor(1, "beside") as beside:
        fitted = beside.submit(lambda: _baselines(use_case, given, on.clock))
        holdout_models = _holdouts(use_case, given, tuned, on)
        answers = out_of_sample(use_case, holdout_models, given.columns, given.cuts)
        other = patiently(lambda: rival(settings, use_case, given.frame, given.columns, given.cuts))

        def compared() -> dict[str, Any]:
            resampled = resamples(entities(use_case, given.frame[held_out]), use_case.tuning.seed)
            contestants = {"candidate": answers, "champion": other.scores, **fitted.result()}
            return {
                **evaluating.compare(use_case, label, contestants, resampled),
                "calibration": _calibrated(use_case, given, tuned, holdout_models, label, answers),
                "slices": evaluating.groups(use_case, columns, label, answers),
                "champion_slices": evaluating.groups(use_case, columns, label, other.scores)
                if other.scores is not None
                else None,
            }

        comparison = beside.submit(compared)
        drawn_beside = beside.submit(
            lambda: pictures.of_answers(use_case, tuned, label, answers, comparison.result())
        )
        model = _registered(use_case, given, tuned, on)
        curve = _learning(use_case, given, tuned, on, holdout_models[0])
        importance = _importance(use_case, model, columns, on)
        document: dict[str, Any] = {"metric": use_case.gate.metric, **comparison.result()}
        drawn = {**drawn_beside.result(), **pictures.of_model(use_case, importance, curve)}
    champion = other.model
    timed = [model] if champion is None else [model, champion.model]
    latencies = [round(each, 4) for each in latencies_ms(use_case, timed, columns)]
    document |= {
        "champion_version": other.version,
        "remark": other.remark,
        "train_rows": int(given.cuts[0].train.sum()),
        "holdout_rows": len(label),
        "holdout_from": given.frame[held_out][EVENT_TIME].min().isoformat(),
        "size_bytes": size_bytes(model),
        "latency_ms": latencies[0],
        "champion_footprint": {"size_bytes": champion.size_bytes, "latency_ms": latencies[1]}
        if champion is not None
        else None,
        "replay": replay(database, use_case, model, champion, run.as_of),
        "importance": importance,
        "learning_curve": curve,
        "model_digest": model_digest(model),
        "holdout_digests": [model_digest(each) for each in holdout_models],
        "task_type": on.task_type,
    }
    document["seconds"] = on.clock.to_json()
    return Candidate(model, holdout_models, label, answers, document, drawn)


def _registered(use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine) -> Any:
    return fit(use_case, given.columns, given.label, tuned["params"], on, _calibration(tuned))


def _holdouts(use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine) -> tuple[Any, ...]:
    return tuple(
        fit(
            use_case,
            rows_of(given.columns, cut.train),
            given.label[cut.train],
            tuned["params"],
            on,
            _calibration(tuned),
        )
        for cut in given.cuts
    )


def _baselines(use_case: UseCase, given: Rows, clock: Clock) -> dict[str, Scores]:
    """The linear model decides by the candidate's class weights; a guess has nothing to weigh."""
    weights = class_weights(use_case, given.label)
    found = {}
    for name, fit_one, weighed in (("linear", fit_linear, weights), ("dummy", fit_dummy, ())):
        models = [
            fit_one(use_case, rows_of(given.columns, cut.train), given.label[cut.train], clock)
            for cut in given.cuts
        ]
        answer = partial(baseline_scores, weights=weighed)
        found[name] = out_of_sample(use_case, models, given.columns, given.cuts, of=answer)
    return found


def _learning(
    use_case: UseCase, given: Rows, tuned: Mapping[str, Any], on: Machine, whole: Any
) -> list[dict[str, Any]]:
    recipe = tuned["params"], on, _calibration(tuned)
    return learning_curve(use_case, given.columns, given.label, given.cuts[0], *recipe, whole)


def _calibration(tuned: Mapping[str, Any]) -> Calibration | None:
    found = tuned.get("calibration")
    return Calibration.from_json(found) if found else None


def _calibrated(
    use_case: UseCase,
    given: Rows,
    tuned: Mapping[str, Any],
    models: tuple[Any, ...],
    label: np.ndarray,
    after: Scores,
) -> dict[str, Any] | None:
    found = _calibration(tuned)
    if found is None or not use_case.label.classes:
        return None
    bare = [plain(model)[0] for model in models]
    for model in bare:
        set_weights(model, ())  # they are in its scores still
    before = out_of_sample(use_case, bare, given.columns, given.cuts)
    return evaluating.calibration(use_case, label, before, after, found.scale, list(found.bias))


def _importance(
    use_case: UseCase, model: Any, columns: Mapping[str, np.ndarray], on: Machine
) -> dict[str, float]:
    """Mean absolute SHAP value of each input over some of the hold-out, greatest first."""
    length = len(next(iter(columns.values())))
    some = np.zeros(length, dtype=bool)
    some[np.linspace(0, length - 1, min(length, _SHAP_ROWS)).astype(int)] = True
    values = np.abs(shap_values(model, pool(use_case, rows_of(columns, some)), on.thread_count))[..., :-1]
    if values.ndim == 3:
        values = values.mean(axis=1)
    means = values.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    return {str(model.feature_names_[index]): round(float(means[index]), 6) for index in order}
