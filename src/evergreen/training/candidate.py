"""Make a candidate: fit its models, and evaluate it beside the champion and two baselines.

The baselines are a linear model and a dummy that knows no feature. All of them predict the hold-out, the rows
that the models to be judged were not fitted on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.model.calibration import compute_shap_values, copy_without_calibration
from evergreen.model.decision import set_class_weights
from evergreen.model.judging.resampling import draw_resamples
from evergreen.model.judging.slices import compute_slice_metrics
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import Columns, build_pool, select_rows
from evergreen.model.predictions import Predictions
from evergreen.registry.connection import retry_while_unreachable
from evergreen.settings import Settings
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.data.facts import collect_data_facts
from evergreen.training.data.rows import TrainingRows
from evergreen.training.data.split import number_entities
from evergreen.training.fit.baselines import fit_dummy, fit_linear
from evergreen.training.fit.device import choose_task_type
from evergreen.training.fit.digest import digest_model
from evergreen.training.fit.fit_timer import FitTimer
from evergreen.training.fit.fitting import Machine, compute_class_weights, fit_model
from evergreen.training.judge.answers import find_holdout_rows, score_baseline, score_holdout
from evergreen.training.judge.calibration_effect import CalibrationEffect, measure_calibration_effect
from evergreen.training.judge.comparison import Comparison, compare_contestants
from evergreen.training.judge.contest import score_champion
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.judge.footprint import Footprint, measure_latencies_ms, measure_size_bytes
from evergreen.training.judge.learning_curve import compute_learning_curve
from evergreen.training.judge.replay import replay_requests
from evergreen.training.judge.slice_figures import SliceFigures
from evergreen.training.record import pictures
from evergreen.training.search.search_result import SearchResult
from evergreen.usecase import EVENT_TIME, UseCase

logger = logging.getLogger(__name__)

# Rows of the hold-out whose SHAP values are taken: enough for a mean, and a second's work at most.
_SHAP_ROWS = 500


@dataclass(frozen=True)
class Candidate:
    """A candidate's models, its answers on the hold-out, its evaluation, and pictures of it by file name.

    `model` is fitted on all rows and is the one to register; each of the `holdout_models` is fitted without
    the rows that its cut holds out. `scores` are the answers of the latter.
    """

    model: Any
    holdout_models: tuple[Any, ...]
    scores: Predictions
    evaluation: Evaluation
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class _HoldoutFigures:
    """The part of an evaluation that is measured on the hold-out alone."""

    comparison: Comparison
    calibration: CalibrationEffect | None
    slices: tuple[SliceFigures, ...]
    champion_slices: tuple[SliceFigures, ...] | None

    def to_json(self) -> JsonObject:
        """The same keys as in the evaluation's JSON."""
        champion_slices = self.champion_slices
        return {
            **self.comparison.to_json(),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "slices": [each.to_json() for each in self.slices],
            "champion_slices": None
            if champion_slices is None
            else [each.to_json() for each in champion_slices],
        }


def choose_machine(settings: Settings, use_case: UseCase) -> Machine:
    """What models of that use case are fitted on, by the settings."""
    searched_parameters = [dimension.parameter for dimension in use_case.tuning.space]
    return Machine(settings.threads, choose_task_type(settings, searched_parameters))


def fit_models(
    use_case: UseCase, rows: TrainingRows, recipe: SearchResult, machine: Machine
) -> tuple[Any, tuple[Any, ...]]:
    """Fit the registered model, on all rows, and the hold-out models. Same arguments give the same bytes."""
    return (
        _fit_registered_model(use_case, rows, recipe, machine),
        _fit_holdout_models(use_case, rows, recipe, machine),
    )


def build_candidate(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    run: TrainingRun,
    rows: TrainingRows,
    recipe: SearchResult,
) -> Candidate:
    """Fit candidate and baselines, and compare them with the champion on the hold-out.

    `recipe`: the parameters and the calibration that the search chose. The comparison is computed and drawn
    in a second thread beside the later fits, which leave a processor idle now and then.
    """
    machine = choose_machine(settings, use_case)
    held_out = find_holdout_rows(rows.cuts)
    label, columns = rows.label[held_out], select_rows(rows.columns, held_out)
    logger.info("fitting on %d rows, judging on %d", int(rows.cuts[0].train.sum()), len(label))
    with ThreadPoolExecutor(1, "beside") as beside:
        baseline_scores = beside.submit(lambda: _score_baselines(use_case, rows, machine.fit_timer))
        holdout_models = _fit_holdout_models(use_case, rows, recipe, machine)
        scores = score_holdout(use_case, holdout_models, rows.columns, rows.cuts)
        champion = retry_while_unreachable(
            lambda: score_champion(settings, database, use_case, rows.frame, rows.columns, rows.cuts)
        )

        def measure_holdout() -> _HoldoutFigures:
            resamples = draw_resamples(number_entities(use_case, rows.frame[held_out]), use_case.tuning.seed)
            contestants = {"candidate": scores, "champion": champion.scores, **baseline_scores.result()}
            return _HoldoutFigures(
                compare_contestants(use_case, label, contestants, resamples),
                _measure_calibration(use_case, rows, recipe, holdout_models, label, scores),
                _measure_slices(use_case, columns, label, scores),
                _measure_slices(use_case, columns, label, champion.scores)
                if champion.scores is not None
                else None,
            )

        figures_on_holdout = beside.submit(measure_holdout)
        holdout_pictures = beside.submit(
            lambda: pictures.draw_answers(
                use_case, recipe.to_json(), label, scores, figures_on_holdout.result().to_json()
            )
        )
        model = _fit_registered_model(use_case, rows, recipe, machine)
        learning_curve = compute_learning_curve(
            use_case,
            rows.columns,
            rows.label,
            rows.cuts[0],
            recipe.params,
            machine,
            recipe.calibration,
            holdout_models[0],
        )
        importance = _compute_importance(use_case, model, columns, machine)
        model_pictures = pictures.draw_model(
            use_case, importance, [point.to_json() for point in learning_curve]
        )
        figures = figures_on_holdout.result()
        all_pictures = {**holdout_pictures.result(), **model_pictures}
    footprint, champion_footprint = _measure_footprints(use_case, model, champion.model, columns)
    evaluation = Evaluation(
        metric=use_case.gate.metric,
        comparison=figures.comparison,
        calibration=figures.calibration,
        slices=figures.slices,
        champion_slices=figures.champion_slices,
        champion_version=champion.version,
        remark=champion.remark,
        train_rows=int(rows.cuts[0].train.sum()),
        holdout_rows=len(label),
        holdout_from=rows.frame[held_out][EVENT_TIME].min().isoformat(),
        footprint=footprint,
        champion_footprint=champion_footprint,
        replay=replay_requests(database, use_case, model, champion.model, run.as_of),
        importance=importance,
        learning_curve=tuple(learning_curve),
        model_digest=digest_model(model),
        holdout_digests=tuple(digest_model(each) for each in holdout_models),
        task_type=machine.task_type,
        seconds=machine.fit_timer.to_json(),
        data=collect_data_facts(use_case, rows),
    )
    return Candidate(model, holdout_models, scores, evaluation, all_pictures)


def _fit_registered_model(
    use_case: UseCase, rows: TrainingRows, recipe: SearchResult, machine: Machine
) -> Any:
    return fit_model(use_case, rows.columns, rows.label, recipe.params, machine, recipe.calibration)


def _fit_holdout_models(
    use_case: UseCase, rows: TrainingRows, recipe: SearchResult, machine: Machine
) -> tuple[Any, ...]:
    return tuple(
        fit_model(
            use_case,
            select_rows(rows.columns, cut.train),
            rows.label[cut.train],
            recipe.params,
            machine,
            recipe.calibration,
        )
        for cut in rows.cuts
    )


def _score_baselines(use_case: UseCase, rows: TrainingRows, fit_timer: FitTimer) -> dict[str, Predictions]:
    """The hold-out answers of "linear" and "dummy".

    The linear model decides by the candidate's class weights; to the dummy they would make no difference.
    """
    weights = compute_class_weights(use_case, rows.label)
    scores = {}
    for name, fit_baseline, own_weights in (("linear", fit_linear, weights), ("dummy", fit_dummy, ())):
        models = [
            fit_baseline(use_case, select_rows(rows.columns, cut.train), rows.label[cut.train], fit_timer)
            for cut in rows.cuts
        ]
        score = partial(score_baseline, weights=own_weights)
        scores[name] = score_holdout(use_case, models, rows.columns, rows.cuts, of=score)
    return scores


def _measure_calibration(
    use_case: UseCase,
    rows: TrainingRows,
    recipe: SearchResult,
    models: tuple[Any, ...],
    label: np.ndarray,
    after: Predictions,
) -> CalibrationEffect | None:
    """What the calibration changed in the hold-out answers of these models; None for regression."""
    if recipe.calibration is None or not use_case.label.classes:
        return None
    plain_models = [copy_without_calibration(model)[0] for model in models]
    for model in plain_models:
        # Scores without calibration still contain the class weights, so decisions must not apply them again.
        set_class_weights(model, ())
    before = score_holdout(use_case, plain_models, rows.columns, rows.cuts)
    return measure_calibration_effect(use_case, label, before, after, recipe.calibration)


def _measure_slices(
    use_case: UseCase, columns: Columns, label: np.ndarray, scores: Predictions
) -> tuple[SliceFigures, ...]:
    figures = compute_slice_metrics(use_case, columns, label, scores)
    return tuple(SliceFigures.from_json(each) for each in figures)


def _measure_footprints(
    use_case: UseCase, model: Any, champion: LoadedModel | None, columns: Columns
) -> tuple[Footprint, Footprint | None]:
    """The footprints of both models; their predictions are timed together, so that they can be compared."""
    models = [model] if champion is None else [model, champion.model]
    latencies = [round(each, 4) for each in measure_latencies_ms(use_case, models, columns)]
    return (
        Footprint(measure_size_bytes(model), latencies[0]),
        None if champion is None else Footprint(champion.size_bytes, latencies[1]),
    )


def _compute_importance(
    use_case: UseCase, model: Any, columns: Columns, machine: Machine
) -> dict[str, float]:
    """Mean absolute SHAP value of each input over some of the hold-out, greatest first."""
    length = len(next(iter(columns.values())))
    some = np.zeros(length, dtype=bool)
    some[np.linspace(0, length - 1, min(length, _SHAP_ROWS)).astype(int)] = True
    values = np.abs(
        compute_shap_values(model, build_pool(use_case, select_rows(columns, some)), machine.thread_count)
    )[..., :-1]
    if values.ndim == 3:
        values = values.mean(axis=1)
    means = values.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    return {str(model.feature_names_[index]): round(float(means[index]), 6) for index in order}
