"""The inputs of a decision: everything that the governor knows as of a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.errors import TrainingError
from evergreen.monitoring.evidence.drift_evidence import build_drift_evidence
from evergreen.monitoring.evidence.estimated import build_estimated_evidence
from evergreen.monitoring.evidence.realised import collect_realised_evidence, find_label_scale
from evergreen.monitoring.evidence.retrains import find_retrain_under_way, list_past_retrains
from evergreen.monitoring.governor.inputs import DriftEvidence, GovernorInputs, LabelCounts
from evergreen.registry.champion_history import find_promotion_time
from evergreen.store.history.known_labels import count_known_labels
from evergreen.store.records.checks.decision import Decision, find_last_retrain, list_decisions
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.drift_course import read_drift_verdicts
from evergreen.store.records.ingest_run import find_last_load
from evergreen.store.records.training_run import TrainingRun, get_run_of_version
from evergreen.usecase import UseCase

# The budget is per week; a day more, so that none is missed at its edge.
_LEAST_PAST = timedelta(days=8)
_DAY = timedelta(days=1)
# Trainings by hand may stand between two checks.
_DECISIONS_LOOKED_AT = 50


def collect_governor_inputs(
    engine: sa.Engine,
    use_case: UseCase,
    champion: int,
    as_of: datetime,
    *,
    now: datetime,
    report: DriftReport | None = None,
    manual_reason: str = "",
    new_rows: bool | None = None,
    scheduled: bool = False,
) -> GovernorInputs:
    """What is known as of a moment; `now` is the clock's, by which a training still runs. Both are aware.

    `champion` is the version in service, 0 for none. `report` is the check of the moment, None where none was
    made. `new_rows` says whether an ingest asks for the training; None: whether one has loaded rows since the
    last decision to retrain and the champion's training. `scheduled` says whether a tick of the training's
    schedule does.
    """
    run = _find_training(engine, use_case.name, champion) if champion else None
    promoted_at = find_promotion_time(engine, use_case.name, champion) if champion else None
    decisions = list_decisions(engine, use_case.name, before=as_of, limit=_DECISIONS_LOOKED_AT)
    trained_at = run.as_of if run else None
    if new_rows is None:
        new_rows = _has_new_rows(engine, use_case, as_of, trained_at)
    past = min(as_of - _LEAST_PAST, promoted_at or as_of)
    former = _find_measured_inputs(decisions, champion)
    realised = estimated = None
    under_way = find_retrain_under_way(engine, use_case, now)
    if report is not None:
        realised = collect_realised_evidence(engine, use_case, champion, run, promoted_at, former, as_of)
        estimated = build_estimated_evidence(
            use_case,
            champion,
            report.quality.estimated if report.quality else None,
            find_label_scale(engine, use_case, champion),
            former,
        )
    inputs = GovernorInputs(
        as_of=as_of,
        champion=champion,
        trained_at=trained_at,
        promoted_at=promoted_at,
        trained_since=_read_window_start(run),
        drift=_collect_drift(engine, use_case.name, report, decisions),
        realised=realised,
        estimated=estimated,
        predictions_per_day=_compute_traffic(report),
        new_rows=new_rows,
        scheduled=scheduled,
        manual_reason=manual_reason,
        running_since=under_way.since if under_way else None,
        running_reason=under_way.reason if under_way else "",
        # Also those as of later moments, which forbid a retrain as of this one.
        retrains=list_past_retrains(engine, use_case, past, now),
    )
    return replace(inputs, labels=_count_labels(engine, use_case, run, inputs.change_since, as_of))


def _find_training(engine: sa.Engine, use_case_name: str, version: int) -> TrainingRun | None:
    try:
        return get_run_of_version(engine, use_case_name, version)
    except TrainingError:  # a version that Evergreen did not train, or whose record was erased
        return None


def _find_measured_inputs(decisions: Sequence[Decision], champion: int) -> GovernorInputs | None:
    """The inputs of the newest of those decisions that rest on a check of the same champion."""
    for decision in decisions:
        inputs = GovernorInputs.from_json(decision.inputs) if decision.inputs else None
        if inputs is not None and inputs.drift is not None and inputs.champion == champion:
            return inputs
    return None


def _has_new_rows(
    engine: sa.Engine,
    use_case: UseCase,
    as_of: datetime,
    trained_at: datetime | None,
) -> bool:
    load = find_last_load(engine, use_case, as_of)
    if load is None or not load.rows_loaded:
        return False
    # A no, such as in quiet hours, leaves the rows to the next decision.
    answer = find_last_retrain(engine, use_case.name, as_of)
    moments = (trained_at, answer.as_of if answer else None)
    return all(moment is None or load.as_of > moment for moment in moments)


def _read_window_start(run: TrainingRun | None) -> datetime | None:
    """After which event time the champion's labels count; None for all rows."""
    return run.labels_since if run else None


def _collect_drift(
    engine: sa.Engine, use_case_name: str, report: DriftReport | None, decisions: Sequence[Decision]
) -> DriftEvidence | None:
    if report is None:
        return None
    former = (GovernorInputs.from_json(each.inputs).drift for each in decisions if each.inputs)
    newest = next((evidence for evidence in former if evidence is not None), None)
    verdicts = read_drift_verdicts(engine, use_case_name, report.as_of)
    return build_drift_evidence(report, verdicts, newest.since if newest else None)


def _count_labels(
    engine: sa.Engine,
    use_case: UseCase,
    run: TrainingRun | None,
    change_since: datetime | None,
    as_of: datetime,
) -> LabelCounts:
    labels = count_known_labels(engine, use_case, as_of)
    counts = LabelCounts(known=labels.count, oldest=labels.oldest, newest=labels.newest)
    if run is None:
        return counts
    before = count_known_labels(engine, use_case, run.as_of).count
    counts = replace(counts, new=max(0, labels.count - before))
    if change_since is None:
        return counts
    return replace(
        counts,
        training=count_known_labels(engine, use_case, run.as_of, change_since).count,
        available=count_known_labels(engine, use_case, as_of, change_since).count,
    )


def _compute_traffic(report: DriftReport | None) -> float | None:
    if report is None or report.window_end <= report.window_start:
        return None
    return report.row_count / ((report.window_end - report.window_start) / _DAY)
