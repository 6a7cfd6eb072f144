"""The losses of a trial's versions, summed in MariaDB: by outcomes, or estimated without them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.error_profile.profile import ClassErrorProfile
from evergreen.model.error_profile.store import load_error_profile
from evergreen.monitoring.quality.count_scores import count_scores
from evergreen.monitoring.quality.estimate import draw_right_shares
from evergreen.monitoring.quality.labelled_rows import LabelledSelection, select_labelled_rows
from evergreen.monitoring.quality.learned import build_row_value, choose_row_metric
from evergreen.monitoring.quality.score_cells import Floats, ScoreCells, join_cells
from evergreen.monitoring.quality.trials.confidence_sequence import LossSums
from evergreen.monitoring.quality.trials.trial_comparison import LossPair, TrialComparison, compare_losses
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import ONLINE, SHADOW, TRAFFIC
from evergreen.store.records.model_trial import ModelTrial
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

_NAMES = {"accuracy": "share of wrong answers", "brier": "Brier score", "mae": "mean absolute error"}
_MOMENT = timedelta(microseconds=1)
_Z = 1.96
_NOTHING = LossSums(0, 0.0, 0.0)
# With fewer outcomes that decide nothing the estimates say more.
_LEAST_ROWS = 100


def compare_trial_versions(engine: sa.Engine, use_case: UseCase, trial: ModelTrial) -> TrialComparison:
    """Compare the challenger of a trial with its rival, or with the champion where it has none.

    By the outcomes that have come, from `/feedback` and from labels, whenever they came; where these are few,
    by the estimates of the trial's rows, if there are any. Versions that answered other keys are compared
    unpaired, a shadow with the champion on the same rows. Raises StoreUnreachable.
    """
    one, other = trial.challenger_version, trial.rival_version or trial.champion_version
    metric = choose_trial_metric(use_case)
    if trial.mode == "shadow":
        pair = _pair_shadow(engine, use_case, trial, metric)
    else:
        pair = _sum_versions(engine, use_case, trial, metric, one, other)
    compared = compare_losses(one, other, _NAMES[metric], "realised", pair)
    if compared.better is not None or pair.rows >= _LEAST_ROWS:
        return compared
    estimated = _estimate_versions(engine, use_case, trial, metric, one, other)
    return (
        compared if estimated is None else compare_losses(one, other, _NAMES[metric], "estimated", estimated)
    )


def choose_trial_metric(use_case: UseCase) -> str:
    """What the versions of a trial are compared by: the bounded loss next to the gate's metric."""
    metric = choose_row_metric(use_case)
    return "brier" if metric == "log_loss" else metric


def _build_loss(metric: str, use_case: UseCase, rows: sa.FromClause) -> sa.ColumnElement[Any]:
    value = build_row_value(metric, use_case, rows)
    return 1.0 - value if metric == "accuracy" else value


def _select_window(use_case: UseCase, trial: ModelTrial, channels: tuple[str, ...]) -> LabelledSelection:
    end = (trial.ended_at or trial.ends_at) + _MOMENT
    # Outcomes count whenever they come.
    return LabelledSelection(
        known_at=end + timedelta(days=36_500), predicted=(trial.started_at, end), channels=channels
    )


def _sum_versions(
    engine: sa.Engine, use_case: UseCase, trial: ModelTrial, metric: str, one: int, other: int
) -> LossPair:
    channel = trial.challenger_channel
    selection = _select_window(use_case, trial, tuple({*TRAFFIC, channel}))
    rows = select_labelled_rows(
        use_case, selection, ["channel", "model_version", "prediction", "probability"]
    )
    inner = sa.select(
        (rows.c.channel == channel).label("on_trial"),
        rows.c.model_version.label("version"),
        _build_loss(metric, use_case, rows).label("loss"),
    ).subquery("losses")
    own = (inner.c.on_trial, inner.c.version)
    with get_fast_engine(engine).connect() as connection:
        by_version = execute_if_table_exists(
            connection, sa.select(*own, *_list_sums(inner.c.loss)).group_by(*own)
        )
    sums = {(bool(row[0]), int(row[1])): _read_sums(row[2:]) for row in by_version}
    is_rival = trial.rival_version is not None
    return LossPair(
        sums.get((True, one), _NOTHING),
        sums.get((is_rival, other), _NOTHING),
        None,
        _plan_ratio(trial),
        bounded=metric != "mae",
    )


def _pair_shadow(engine: sa.Engine, use_case: UseCase, trial: ModelTrial, metric: str) -> LossPair:
    """The differences on the champion's rows that have an outcome and a shadow."""
    selection = _select_window(use_case, trial, (ONLINE,))
    rows = select_labelled_rows(
        use_case,
        selection,
        ["prediction_id", "predicted_at", "model_version", "prediction", "probability"],
    )
    log = declared.build_prediction_table(use_case).alias("shadow")
    joined = rows.join(
        log,
        sa.and_(
            log.c.prediction_id == _derive_shadow_id(rows.c.prediction_id),
            log.c.predicted_at == rows.c.predicted_at,
            log.c.channel == SHADOW,
            log.c.model_version == trial.challenger_version,
        ),
    )
    shadow = (
        sa.select(
            log.c.prediction.label("prediction"),
            log.c.probability.label("probability"),
            rows.c.actual.label("actual"),
            _build_loss(metric, use_case, rows).label("champion_loss"),
        )
        .select_from(joined)
        .where(rows.c.model_version == trial.champion_version)
        .subquery("paired")
    )
    difference = _build_loss(metric, use_case, shadow) - shadow.c.champion_loss
    inner = sa.select(difference.label("loss")).subquery("differences")
    with get_fast_engine(engine).connect() as connection:
        found = execute_if_table_exists(connection, sa.select(*_list_sums(inner.c.loss)))
    sums = _read_sums(found[0]) if found else _NOTHING
    return LossPair(_NOTHING, _NOTHING, sums, 1.0, bounded=metric != "mae")


def _estimate_versions(
    engine: sa.Engine, use_case: UseCase, trial: ModelTrial, metric: str, one: int, other: int
) -> LossPair | None:
    """The estimated losses of both versions' rows; None where one of them has no error profile, or no rows,
    and for numbers, whose estimates tell too little of two versions."""
    if metric == "mae":
        return None
    log = declared.build_prediction_table(use_case)
    end = trial.ended_at or trial.ends_at
    estimates = []
    for version, on_trial in ((one, True), (other, trial.rival_version is not None)):
        try:
            profile = load_error_profile(engine, use_case.name, version)
        except StoreError:
            return None
        if not isinstance(profile, ClassErrorProfile):
            return None
        channels = [trial.challenger_channel] if on_trial else [ONLINE]
        condition = sa.and_(
            log.c.model_version == version,
            log.c.channel.in_(channels),
            log.c.predicted_at >= to_naive_utc(trial.started_at),
            log.c.predicted_at <= to_naive_utc(end),
        )
        with get_fast_engine(engine).connect() as connection:
            scores = count_scores(connection, use_case, log, condition=condition, partition=profile.partition)
        if not scores:
            return None
        estimates.append(
            _estimate_losses(metric, profile, join_cells([each.cells for each in scores.values()]))
        )
    (first, first_variance), (second, second_variance) = estimates
    bias = _Z * float(np.sqrt(first_variance + second_variance))
    ratio = 1.0 if trial.mode == "shadow" else _plan_ratio(trial)
    return LossPair(first, second, None, ratio, bounded=True, bias=bias)


def _estimate_losses(metric: str, profile: ClassErrorProfile, cells: ScoreCells) -> tuple[LossSums, float]:
    """The sums of the rows' expected losses, and the variance of their mean that the hold-out leaves open."""

    def compute_losses(right: Floats) -> Floats:
        if metric == "accuracy":
            return 1.0 - right
        return np.asarray(
            right * (1.0 - cells.confidence) ** 2 + (1.0 - right) * cells.confidence**2, dtype=np.float64
        )

    losses = compute_losses(profile.compute_right_shares(cells.confidence, cells.regions))
    draws = compute_losses(draw_right_shares(profile, cells)) @ cells.rows / cells.total
    sums = LossSums(cells.total, float(losses @ cells.rows), float(losses**2 @ cells.rows))
    return sums, float(draws.var())


def _plan_ratio(trial: ModelTrial) -> float:
    """How many rows of the challenger are planned for a row of the other version."""
    if trial.rival_version is not None or trial.share >= 1.0:
        return 1.0
    return trial.share / (1.0 - trial.share)


def _list_sums(loss: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    return (sa.func.count(loss), sa.func.sum(loss), sa.func.sum(loss * loss))


def _read_sums(row: Any) -> LossSums:
    count, total, squares = row
    return LossSums(int(count), float(total or 0.0), float(squares or 0.0))


def _derive_shadow_id(prediction_id: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """`prediction_id.derive_shadow_id` in SQL."""
    variant = sa.func.substring(prediction_id, 20, 1)
    return sa.func.insert(
        prediction_id, 20, 1, sa.func.elt(sa.func.locate(variant, "89ab"), "9", "8", "b", "a")
    )
