"""The estimates of logged predictions: of a window, and by day and slice as they are kept beside outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.error_profile.partition import list_features
from evergreen.model.error_profile.profile import (
    CONFIDENCE,
    PREDICTED,
    ClassErrorProfile,
    ErrorProfile,
    NumberErrorProfile,
)
from evergreen.model.error_profile.store import load_error_profile
from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.quality.count_scores import Group, count_regions, count_scores
from evergreen.monitoring.quality.estimate import VALIDITY, estimate_number_quality, estimate_quality
from evergreen.monitoring.quality.score_cells import ScoreCells, choose_metrics, join_cells
from evergreen.monitoring.quality.slice_columns import name_group
from evergreen.monitoring.quality.trust import judge_trust, pair_estimates
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.quality_metric import (
    EstimatedQuality,
    QualityEstimate,
    QualityMetric,
    read_quality_metrics,
    replace_quality_metrics,
)
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

# How far back days are compared with their outcomes.
_TRUST_DAYS = timedelta(days=90)
_MICROSECOND = timedelta(microseconds=1)

# Cells of classes, or for numbers the rows of each region, of shape (regions,).
Counted: TypeAlias = ScoreCells | npt.NDArray[np.int64]


def estimate_window_quality(
    engine: sa.Engine, use_case: UseCase, report: DriftReport, profiles: Mapping[str, FeatureProfile]
) -> EstimatedQuality:
    """Estimate the quality of the champion's answers in a report's window, and whether that can be trusted.

    The estimates of the window's days are stored as well, whole days up to the report's moment. `profiles`,
    by feature, say which groups the slices of categories have.
    """
    version = report.model_version
    try:
        profile = load_error_profile(engine, use_case.name, version)
    except StoreError as error:
        return EstimatedQuality((), f"no estimate, because {error.message}")
    if profile is None:
        reason = (
            f"no estimate, because version {version} has no error profile: it was registered by hand or by an"
            " earlier version of Evergreen, and the next training keeps one"
        )
        return EstimatedQuality((), reason)
    missing = sorted(list_features(profile.partition) - _list_log_features(use_case))
    if missing:
        reason = f"no estimate, because {', '.join(missing)} is not declared any more"
        return EstimatedQuality((), reason)
    counter = _Counter(use_case, version, profile)
    with get_fast_engine(engine).connect() as connection:
        cells = counter.count(connection, report.window_start, report.window_end)
        estimates = counter.estimate(counter.join(list(cells.values())))
        start = datetime.combine(report.window_start.date(), time(), report.window_start.tzinfo)
        by_day = counter.count(connection, start - _MICROSECOND, report.as_of)
        for declared_slice in use_case.slices:
            name = name_group(declared_slice, counter.log, profiles)
            by_day |= counter.count(connection, start - _MICROSECOND, report.as_of, name)
    metrics = [
        QualityMetric(
            model_version=version,
            day=group.day,
            slice_name=group.slice_name,
            kind="estimated",
            metric=estimate.metric,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            rows=estimate.rows,
            as_of=report.as_of,
        )
        for group, own in by_day.items()
        for estimate in counter.estimate(own)
    ]
    days = sorted({(group.day, version) for group in by_day})
    replace_quality_metrics(engine, use_case, "estimated", days, metrics, report.as_of)
    if not estimates:
        return EstimatedQuality((), f"no estimate, because v{version} answered nothing in the window")
    metric = estimates[0].metric
    since = (report.as_of - _TRUST_DAYS).date()
    past = read_quality_metrics(
        engine, use_case.name, since=since, until=report.as_of.date(), as_of=report.as_of
    )
    trust = judge_trust(metric, pair_estimates(metric, past))
    return EstimatedQuality(estimates, VALIDITY, trust.trusted, trust.reason)


class _Counter:
    """Counts the logged answers of a version by the cells or regions of its error profile."""

    def __init__(self, use_case: UseCase, version: int, profile: ErrorProfile) -> None:
        self._use_case, self._version, self._profile = use_case, version, profile
        self._metrics = choose_metrics(use_case)
        self.log = declared.build_prediction_table(use_case)

    def count(
        self,
        connection: sa.Connection,
        after: datetime,
        until: datetime,
        slice_name: sa.ColumnElement[Any] | None = None,
    ) -> dict[Group, Counted]:
        """The rows of a window (start excluded, end included) by day and slice."""
        c = self.log.c
        condition = sa.and_(
            c.model_version == self._version,
            c.channel.in_(TRAFFIC),
            c.predicted_at > to_naive_utc(after),
            c.predicted_at <= to_naive_utc(until),
        )
        profile = self._profile
        if isinstance(profile, NumberErrorProfile):
            regions = len(profile.regions)
            return dict(
                count_regions(connection, self.log, condition, profile.partition, regions, slice_name)
            )
        scores = count_scores(
            connection,
            self._use_case,
            self.log,
            condition=condition,
            partition=profile.partition,
            slice_name=slice_name,
        )
        return {group: each.cells for group, each in scores.items()}

    def join(self, pieces: Sequence[Counted]) -> Counted | None:
        """All pieces together; None where there are none."""
        if not pieces:
            return None
        cells = [piece for piece in pieces if isinstance(piece, ScoreCells)]
        if cells:
            return join_cells(cells)
        regions = [piece for piece in pieces if not isinstance(piece, ScoreCells)]
        return np.asarray(np.sum(regions, axis=0), dtype=np.int64)

    def estimate(self, counted: Counted | None) -> tuple[QualityEstimate, ...]:
        """The estimates of counted rows."""
        if counted is None:
            return ()
        if isinstance(counted, ScoreCells):
            assert isinstance(self._profile, ClassErrorProfile)
            return estimate_quality(self._metrics, self._profile, counted)
        assert isinstance(self._profile, NumberErrorProfile)
        return estimate_number_quality(self._profile, counted)


def _list_log_features(use_case: UseCase) -> set[str]:
    """What a partition's conditions may be about: the log has a column for each of them."""
    return {*use_case.feature_types, PREDICTED, CONFIDENCE}
