"""Realised quality: metrics of predictions with known outcomes, by day of prediction, version and slice.

Outcomes come late, so a day is measured anew whenever one of its outcomes was learned. MariaDB joins and
counts; what comes back has the size of the cells, not of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.quality.count_scores import (
    Group,
    count_scores,
    list_log_columns,
    sum_errors,
)
from evergreen.monitoring.quality.intervals import measure_class_metrics, measure_number_metrics
from evergreen.monitoring.quality.labelled_rows import (
    LabelledSelection,
    bound_selection,
    select_labelled_rows,
)
from evergreen.monitoring.quality.score_cells import choose_metrics
from evergreen.monitoring.quality.slice_columns import name_group
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.records.checks.quality_metric import (
    QualityMetric,
    find_last_measurement,
    replace_quality_metrics,
)
from evergreen.store.records.trial_rows import Estimate
from evergreen.usecase import UseCase

# Outcomes and predictions wait on disks of services before they reach the store; so far back is looked again.
_ON_THEIR_WAY = timedelta(days=1)
# So many days at most are counted by one statement.
_DAYS_AT_ONCE = 7


def measure_realised_quality(
    engine: sa.Engine, use_case: UseCase, as_of: datetime, profiles: Mapping[str, FeatureProfile]
) -> list[date]:
    """Measure every day anew of which an outcome was learned since the last measurement, and store it.

    As it was known at `as_of` (aware UTC); days that were measured as of a later moment keep those figures.
    `profiles`, by feature, say which groups the slices of categories have. The days that were measured,
    oldest first. The first measurement reaches back as far as the log is kept.
    """
    last = find_last_measurement(engine, use_case.name, before=as_of)
    after = as_of - use_case.serving.retention if last is None else last - _ON_THEIR_WAY
    selection = LabelledSelection(known_at=as_of, learned_after=after)
    fresh = _find_days(engine, use_case, bound_selection(engine, use_case, selection))
    for start, end in _join_days(sorted({day for day, _ in fresh})):
        selection = LabelledSelection(known_at=as_of, predicted=(start, end))
        metrics = [
            QualityMetric(
                model_version=group.version,
                day=group.day,
                slice_name=group.slice_name,
                kind="realised",
                metric=metric,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                rows=estimate.rows,
                as_of=as_of,
            )
            for group, measured in _measure_days(engine, use_case, selection, profiles).items()
            for metric, estimate in measured.items()
        ]
        days = {(metric.day, metric.model_version) for metric in metrics}
        days |= {(day, version) for day, version in fresh if start.date() <= day < end.date()}
        replace_quality_metrics(engine, use_case, "realised", sorted(days), metrics, as_of)
    return sorted({day for day, _ in fresh})


def _find_days(engine: sa.Engine, use_case: UseCase, selection: LabelledSelection) -> set[tuple[date, int]]:
    """The days and versions of the selected predictions."""
    rows = select_labelled_rows(use_case, selection, ["predicted_at", "model_version"])
    own = (sa.func.date(rows.c.predicted_at), rows.c.model_version)
    with get_fast_engine(engine).connect() as connection:
        groups = execute_if_table_exists(connection, sa.select(*own).distinct())
    return {(day, int(version)) for day, version in groups}


def _measure_days(
    engine: sa.Engine,
    use_case: UseCase,
    selection: LabelledSelection,
    profiles: Mapping[str, FeatureProfile],
) -> dict[Group, dict[str, Estimate]]:
    features = [declared_slice.feature for declared_slice in use_case.slices]
    rows = select_labelled_rows(use_case, selection, list_log_columns(features))
    slice_names = [name_group(declared_slice, rows, profiles) for declared_slice in use_case.slices]
    metrics = choose_metrics(use_case)
    estimates: dict[Group, dict[str, Estimate]] = {}
    with get_fast_engine(engine).connect() as connection:
        for slice_name in [None, *slice_names]:
            if use_case.problem == "regression":
                for group, sums in sum_errors(connection, rows, slice_name).items():
                    estimates[group] = measure_number_metrics(sums)
                continue
            for group, cells in count_scores(connection, use_case, rows, slice_name=slice_name).items():
                estimates[group] = measure_class_metrics(metrics, cells)
    return estimates


def _join_days(days: Sequence[date]) -> Iterator[tuple[datetime, datetime]]:
    """Windows (start included, end excluded, aware UTC) of neighbouring days, a week at most."""
    place = 0
    while place < len(days):
        first = last = days[place]
        while (
            place < len(days)
            and days[place] - last <= timedelta(days=1)
            and days[place] - first < timedelta(days=_DAYS_AT_ONCE)
        ):
            last = days[place]
            place += 1
        yield _begin(first), _begin(last + timedelta(days=1))


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
