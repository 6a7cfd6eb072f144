"""Quality in a real store: counted by MariaDB as in memory, realised by day as outcomes come, estimated."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from evergreen.model.error_profile.partition import Split, assign_regions
from evergreen.model.error_profile.profile import (
    CONFIDENCE,
    PREDICTED,
    ClassErrorProfile,
    NumberErrorProfile,
    RegionErrors,
)
from evergreen.model.error_profile.store import delete_error_profile, load_error_profile, save_error_profile
from evergreen.model.judging.slices import assign_groups
from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.evidence.realised import collect_realised_evidence
from evergreen.monitoring.quality import measure_prediction_quality
from evergreen.monitoring.quality.count_scores import count_scores, name_region
from evergreen.monitoring.quality.labelled_rows import (
    LabelledSelection,
    bound_selection,
    select_labelled_rows,
)
from evergreen.monitoring.quality.learned import measure_learned_quality
from evergreen.monitoring.quality.outcome_faults import count_outcome_faults
from evergreen.monitoring.quality.prediction_quality import count_labelled
from evergreen.monitoring.quality.realised import measure_realised_quality
from evergreen.monitoring.quality.score_cells import count_cells
from evergreen.monitoring.quality.slice_columns import name_group
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.quality_metric import read_quality_metrics
from evergreen.store.tables import declared
from evergreen.store.tables.create import create_tables
from evergreen.usecase import Slice, UseCase
from support.outcomes import record_outcome

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LEARNED = LabelledSelection(known_at=NOW, learned_after=NOW - DAY)
TREE = Split(
    "age",
    40.0,
    Split("segment", "web", 0, Split(CONFIDENCE, 0.75, 1, 2)),
    Split("spend_per_visit", 7.25, 3, Split(PREDICTED, "yes", 4, 5)),
)


def make_id(at: datetime) -> str:
    """A UUIDv7 of that millisecond (RFC 9562)."""
    noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=(round(at.timestamp() * 1000) << 80) | (0x7 << 76) | noise))


def make_row(
    at: datetime,
    prediction: str | float = "no",
    confidence: float | None = 0.8,
    version: int = 1,
    **more: Any,
) -> PredictionRow:
    inputs = {"client_id": 1, "age": 30, "segment": "web", **more}
    on_demand = {"spend_per_visit": inputs.pop("spend_per_visit", None)}
    channel = inputs.pop("channel", "online")
    return PredictionRow(make_id(at), version, channel, inputs, prediction, confidence, None, on_demand)


def log(database: sa.Engine, use_case: UseCase, rows: Sequence[PredictionRow]) -> list[str]:
    assert insert_predictions(database, use_case, rows) == len(rows)
    return [row.prediction_id for row in rows]


def make_profile(**changes: Any) -> ClassErrorProfile:
    fields: dict[str, Any] = {
        "partition": 0,
        "centre": 0.0,
        "parameters": np.zeros(3),
        "covariance": np.eye(3) * 1e-4,
        "shares": (1.0,),
        "rows": 500,
        "reference": {"accuracy": 0.9, "roc_auc": 0.95, "brier": 0.1},
        "deviations": {"accuracy": 0.3, "brier": 0.15},
    }
    return ClassErrorProfile(**{**fields, **changes})


def make_report(start: datetime, end: datetime, version: int = 1) -> DriftReport:
    return DriftReport("id", "toy", end, version, start, end, 0, None, "")


def measured(database: sa.Engine, kind: str, **more: Any) -> dict[tuple[date, str, str], tuple[float, int]]:
    rows = read_quality_metrics(database, "toy", kind=kind, slice_name=None, **more)  # type: ignore[arg-type]
    return {
        (row.day, row.slice_name, row.metric): (round(row.value, 6), row.rows)
        for row in rows
        if row.value is not None
    }


def test_mariadb_counts_what_numpy_counts(database: sa.Engine, toy_use_case: UseCase) -> None:
    rng = np.random.default_rng(1)
    count = 300
    columns: dict[str, np.ndarray] = {
        "age": np.where(rng.random(count) < 0.1, np.nan, rng.integers(18, 80, count).astype(float)),
        "segment": rng.choice(np.array(["web", "Web", "shop", None], dtype=object), count),
        "spend_per_visit": rng.choice([7.25, np.nextafter(7.25, 8.0), np.nan, 0.1], count),
        CONFIDENCE: rng.choice([0.5, 0.75, 0.7500001, 0.999, 1.0, 0.29], count),
        PREDICTED: rng.choice(np.array(["no", "yes"], dtype=object), count),
    }
    rows = []
    for n in range(count):
        values = {
            name: None if column[n] is None or column[n] != column[n] else column[n]
            for name, column in columns.items()
        }
        prediction, confidence = values.pop(PREDICTED), values.pop(CONFIDENCE)
        rows.append(make_row(NOW, prediction, confidence, **values))
    ids = log(database, toy_use_case, rows)
    table = declared.build_prediction_table(toy_use_case)
    regions = assign_regions(TREE, columns, count)
    ages = replace_slices(toy_use_case, Slice("age", edges=(30.0, 55.5))).slices[0]
    segments = Slice("segment")
    profiles = {"segment": FeatureProfile("segment", "category", ("shop", "web"), (1, 1, 0, 0))}
    with database.connect() as connection:
        statement = sa.select(
            table.c.prediction_id,
            name_region(TREE, table),
            name_group(ages, table, profiles),
            name_group(segments, table, profiles),
        )
        placed = {row[0]: tuple(row[1:]) for row in connection.execute(statement)}
        counted = count_scores(connection, toy_use_case, table, partition=TREE)
    age_groups = assign_groups(ages, columns["age"])[1]
    for place, prediction_id in enumerate(ids):
        segment = columns["segment"][place]
        group = "missing" if segment is None else segment if segment in ("web", "shop") else "(other)"
        assert placed[prediction_id] == (regions[place], f"age={age_groups[place]}", f"segment={group}")
    (scores,) = counted.values()
    cells = count_cells(columns[CONFIDENCE], columns[PREDICTED] == "yes", regions)
    fields = ("rows", "regions", "positive", "confidence", "loss_right", "loss_wrong")
    by_server, in_memory = (
        sorted(zip(*(getattr(each, name).tolist() for name in fields), strict=True))
        for each in (scores.cells, cells)
    )
    assert len(by_server) == len(in_memory)
    np.testing.assert_allclose(by_server, in_memory, rtol=1e-9, atol=1e-12)
    assert np.isnan(scores.right).all()


def test_a_day_is_measured_anew_when_its_outcomes_come(database: sa.Engine, toy_use_case: UseCase) -> None:
    first, second = NOW - 3 * DAY, NOW - 2 * DAY
    ids = log(database, toy_use_case, [make_row(first, "no", 0.8) for _ in range(4)])
    others = log(database, toy_use_case, [make_row(second, "yes", 0.9, version=2) for _ in range(2)])
    for prediction_id in ids[:2]:
        record_outcome(database, toy_use_case, prediction_id, "no", NOW - 2 * DAY)
    assert measure_realised_quality(database, toy_use_case, NOW - DAY, {}) == [first.date()]
    assert measured(database, "realised")[first.date(), "", "accuracy"] == (1.0, 2)
    record_outcome(database, toy_use_case, ids[2], "yes", NOW)
    record_outcome(database, toy_use_case, ids[0], "yes", NOW)  # contradicts, and is newer
    record_outcome(database, toy_use_case, others[0], "no", NOW)
    assert measure_realised_quality(database, toy_use_case, NOW, {}) == [first.date(), second.date()]
    now = measured(database, "realised")
    assert now[first.date(), "", "accuracy"] == (round(1 / 3, 6), 3)
    assert now[second.date(), "", "accuracy"] == (0.0, 1)
    row = next(
        row for row in read_quality_metrics(database, "toy", since=second.date()) if row.metric == "accuracy"
    )
    assert (row.model_version, row.low) == (2, 0.0)
    assert row.high is not None
    assert 0.7 < row.high < 0.8  # Wilson's, of one row
    # An earlier moment that is measured later changes nothing, and does not see what came after it.
    measure_realised_quality(database, toy_use_case, NOW - DAY, {})
    assert measured(database, "realised") == now
    assert measured(database, "realised", as_of=NOW - DAY) == {}


def test_labels_measure_days_and_slices(database: sa.Engine, toy_use_case: UseCase) -> None:
    use_case = replace_slices(toy_use_case, Slice("age", edges=(30.0,)), Slice("segment"))
    day = NOW - 9 * DAY
    rows = [
        make_row(day, "no", 0.7, client_id=n, age=20 + n, segment="web" if n % 2 else None) for n in range(20)
    ]
    log(database, use_case, rows)
    label = declared.build_label_table(use_case)
    with database.begin() as connection:
        for n in range(20):
            values = {"client_id": n, "event_time": day.replace(tzinfo=None) - timedelta(hours=1)}
            values["ingested_at"] = NOW.replace(tzinfo=None) - timedelta(hours=2)
            connection.execute(sa.insert(label).values(leaves="no" if n < 15 else "yes", **values))
    profiles = {"segment": FeatureProfile("segment", "category", ("web",), (1, 0, 0))}
    measure_realised_quality(database, use_case, NOW, profiles)
    realised = {
        slice_name: value
        for (_, slice_name, metric), value in measured(database, "realised").items()
        if metric == "accuracy"
    }
    assert realised == {
        "": (0.75, 20),
        "age=< 30": (1.0, 10),
        "age=>= 30": (0.5, 10),
        "segment=web": (0.7, 10),
        "segment=missing": (0.8, 10),
    }


def test_labels_learned_late_judge_old_predictions(database: sa.Engine, toy_use_case: UseCase) -> None:
    delay, label = toy_use_case.label.delay, declared.build_label_table(toy_use_case)
    old, young = NOW - 3 * delay, NOW - delay
    log(
        database,
        toy_use_case,
        [make_row(moment, "no", 0.7, client_id=n) for n, moment in enumerate((old, young, old))],
    )

    def ingest(client_id: int, moment: datetime, at: datetime) -> None:
        values = {"event_time": moment.replace(tzinfo=None), "ingested_at": at.replace(tzinfo=None)}
        with database.begin() as connection:
            connection.execute(sa.insert(label).values(client_id=client_id, leaves="no", **values))

    hour, selection = timedelta(hours=1), LabelledSelection(known_at=NOW, learned_after=NOW - DAY)
    ingest(2, old - hour, NOW - 2 * delay)  # known long ago
    ingest(1, young - hour, NOW - hour)
    assert bound_selection(database, toy_use_case, selection).judged_from == NOW - DAY - delay
    assert count_labelled(database, toy_use_case, 1, NOW - DAY, NOW).total == 1
    ingest(0, old - hour, NOW - hour)  # late
    assert bound_selection(database, toy_use_case, selection).judged_from == old - hour
    assert count_labelled(database, toy_use_case, 1, NOW - DAY, NOW).total == 2
    without_bound = select_labelled_rows(toy_use_case, selection, ["prediction"])
    with database.connect() as connection:
        statement = sa.select(sa.func.count()).select_from(without_bound)
        assert connection.execute(statement).scalar() == 2


def test_a_window_has_estimates_beside_outcomes(database: sa.Engine, toy_use_case: UseCase) -> None:
    save_error_profile(database, "toy", 1, make_profile())
    start = NOW - DAY
    log(database, toy_use_case, [make_row(start, "no", 0.5)])  # before the window
    ids = log(
        database,
        toy_use_case,
        [
            make_row(NOW - timedelta(hours=1 + n % 20), "no" if n % 2 else "yes", 0.7 + 0.002 * n)
            for n in range(100)
        ],
    )
    log(
        database,
        toy_use_case,
        [make_row(NOW, "no", 0.5, channel="batch"), make_row(NOW, "no", 0.5, version=2)],
    )
    for number, prediction_id in enumerate(ids[:60]):
        actual = "yes" if number % 3 else "no"
        record_outcome(database, toy_use_case, prediction_id, actual, NOW - timedelta(minutes=1))
    quality = measure_prediction_quality(database, toy_use_case, make_report(start, NOW))
    assert quality.predictions == 100
    assert quality.estimated is not None
    accuracy = quality.estimated.find("accuracy")
    assert accuracy is not None
    assert accuracy.value == pytest.approx(0.7 + 0.002 * 49.5)
    assert accuracy.low < accuracy.value < accuracy.high
    assert (accuracy.rows, accuracy.reference) == (100, 0.9)
    auc = quality.estimated.find("roc_auc")
    assert auc is not None
    assert auc.reference == 0.95
    assert quality.estimated.reason == "valid for covariate shift, blind to concept drift"
    assert quality.estimated.trusted is None
    assert quality.estimated.trust_reason.startswith("not yet known")
    days = measured(database, "estimated")
    # Whole days: the row before the window is one of that day's.
    assert sum(rows for (_, _, metric), (_, rows) in days.items() if metric == "accuracy") == 101
    assert measured(database, "realised").keys() == days.keys()


def test_estimates_are_trusted_after_days_on_which_they_were_right(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    save_error_profile(database, "toy", 1, make_profile())
    for day in range(6):
        at = NOW - (7 - day) * DAY
        ids = log(database, toy_use_case, [make_row(at, "no", 0.8) for _ in range(60)])
        for number, prediction_id in enumerate(ids):
            actual = "no" if number % 5 else "yes"
            record_outcome(database, toy_use_case, prediction_id, actual, at + timedelta(hours=1))
        quality = measure_prediction_quality(
            database, toy_use_case, make_report(at - DAY, at + timedelta(hours=2))
        )
        assert quality.estimated is not None
        assert quality.estimated.trusted is (None if day < 4 else True)
    assert quality.estimated.trust_reason == (
        "trusted: the estimated accuracy was right on 6 of 6 days with outcomes"
    )


def test_a_version_without_error_profile_has_no_estimate_and_says_why(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    log(database, toy_use_case, [make_row(NOW - timedelta(hours=1))])
    report = make_report(NOW - DAY, NOW)
    quality = measure_prediction_quality(database, toy_use_case, report)
    assert quality.estimated is not None
    assert quality.estimated.reason.startswith("no estimate, because version 1 has no error profile: ")
    save_error_profile(database, "toy", 1, make_profile(partition=Split("gone", 1.0, 0, 0)))
    quality = measure_prediction_quality(database, toy_use_case, report)
    assert quality.estimated is not None
    assert quality.estimated.reason == "no estimate, because gone is not declared any more"
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE error_profile SET profile = '{}'"))
    quality = measure_prediction_quality(database, toy_use_case, report)
    assert quality.estimated is not None
    assert quality.estimated.reason.startswith(
        "no estimate, because the error profile of toy version 1 cannot be"
    )
    delete_error_profile(database, "toy", 1)
    assert load_error_profile(database, "toy", 1) is None
    save_error_profile(database, "toy", 1, make_profile())
    nothing = measure_prediction_quality(database, toy_use_case, make_report(NOW, NOW + DAY))
    assert nothing.estimated is not None
    assert nothing.estimated.reason == "no estimate, because v1 answered nothing in the window"


def test_numbers_are_estimated_and_realised_by_their_errors(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    number = replace(toy_use_case, name="number", label=replace(toy_use_case.label, classes=()))
    number = replace(number, gate=replace(number.gate, metric="mae"))
    create_tables(database, number)
    regions = (RegionErrors(100, 1.0, 0.5, 2.0, 1.0), RegionErrors(100, 5.0, 0.5, 26.0, 9.0))
    profile = NumberErrorProfile(
        Split(PREDICTED, 10.0, 0, 1), regions, 200, {"mae": 3.0, "rmse": 4.0}, {"mae": 2.0, "label": 9.0}
    )
    save_error_profile(database, "number", 1, profile)
    rows = [make_row(NOW - timedelta(hours=1), 5.0 if n % 4 else 20.0, None) for n in range(40)]
    ids = log(database, number, rows)
    for row, prediction_id in zip(rows[:32], ids, strict=False):
        record_outcome(
            database, number, prediction_id, float(row.prediction) + 2.0, NOW - timedelta(minutes=5)
        )
    report = replace(make_report(NOW - DAY, NOW), use_case="number")
    quality = measure_prediction_quality(database, number, report)
    assert (quality.labelled, quality.metrics) == (32, {"mae": 2.0, "rmse": 2.0})
    assert quality.answers == {"mean": pytest.approx(8.75)}
    assert quality.estimated is not None
    mae = quality.estimated.find("mae")
    assert mae is not None
    assert (mae.value, mae.reference) == (pytest.approx(0.75 * 1.0 + 0.25 * 5.0), 3.0)
    rows_kept = read_quality_metrics(database, "number", kind="realised")
    assert {(row.metric, row.value, row.rows) for row in rows_kept} == {("mae", 2.0, 32), ("rmse", 2.0, 32)}
    learned = measure_learned_quality(database, number, 1, replace(LEARNED, version=1))
    assert (learned.metric, learned.rows, learned.value, learned.deviation) == ("mae", 32, 2.0, 0.0)
    assert (learned.reference, learned.reference_deviation, learned.scale) == (3.0, 2.0, 9.0)


def test_what_was_learned_between_two_checks_is_a_point(database: sa.Engine, toy_use_case: UseCase) -> None:
    save_error_profile(database, "toy", 1, make_profile())
    ids = log(database, toy_use_case, [make_row(NOW - 5 * DAY, "no", 0.8) for _ in range(4)])
    for prediction_id, actual, hours in zip(ids, ("no", "no", "yes", "no"), (30, 5, 5, 5), strict=True):
        record_outcome(database, toy_use_case, prediction_id, actual, NOW - timedelta(hours=hours))
    point = measure_learned_quality(database, toy_use_case, 1, replace(LEARNED, version=1))
    # The gate's metric is the area under the ROC curve, so that probabilities are judged by the Brier score.
    assert (point.metric, point.less_is_better, point.rows) == ("brier", True, 3)
    assert point.value == pytest.approx((0.04 + 0.04 + 0.64) / 3)
    assert point.deviation == pytest.approx(np.std([0.04, 0.04, 0.64]))
    assert (point.reference, point.reference_rows, point.reference_deviation) == (0.1, 500, 0.15)
    nothing = measure_learned_quality(database, toy_use_case, 2, replace(LEARNED, version=2))
    assert (nothing.rows, nothing.value, nothing.reference) == (0, None, None)


def test_the_evidence_of_a_check_reads_the_labels_once(database: sa.Engine, toy_use_case: UseCase) -> None:
    """For how far back its labels judge: there is no index for that."""
    save_error_profile(database, "toy", 1, make_profile())
    first, last = log(database, toy_use_case, [make_row(NOW - days * DAY, "no", 0.8) for days in (5, 3)])
    for prediction_id in (first, last):
        record_outcome(database, toy_use_case, prediction_id, "no", NOW - timedelta(hours=5))
    statements: list[str] = []
    sa.event.listen(database, "before_cursor_execute", lambda *args: statements.append(args[2]))
    evidence = collect_realised_evidence(database, toy_use_case, 1, None, NOW - DAY, None, NOW)
    assert evidence is not None
    [point] = evidence.points
    assert (point.end, point.rows) == (NOW - 3 * DAY, 2)
    assert sum("min(toy__label.event_time)" in statement for statement in statements) == 1


def test_faults_of_outcomes_are_counted(database: sa.Engine, toy_use_case: UseCase) -> None:
    at = NOW - 2 * DAY
    same, different, early, fine = log(database, toy_use_case, [make_row(at) for _ in range(4)])
    for prediction_id, actual, moment in (
        (same, "no", NOW - DAY),
        (same, "no", NOW),
        (different, "no", NOW - 10 * DAY),
        (different, "yes", NOW),
        (early, "no", at - timedelta(hours=1)),
        (early, "no", NOW),
        (fine, "no", NOW),
        (make_id(at), "no", NOW - DAY / 2),
        (make_id(at), "no", NOW - 2 * DAY),
    ):
        record_outcome(database, toy_use_case, prediction_id, actual, moment)
    faults = count_outcome_faults(database, toy_use_case, NOW - DAY, NOW)
    assert (faults.orphans, faults.duplicates, faults.contradictions, faults.early) == (1, 2, 1, 2)


def test_nothing_is_measured_before_there_is_a_table(settings: Any, toy_use_case: UseCase) -> None:
    from evergreen.store.connection.database import get_engine

    engine = get_engine(settings)
    assert measure_realised_quality(engine, toy_use_case, NOW, {}) == []
    assert read_quality_metrics(engine, "toy") == []
    assert count_outcome_faults(engine, toy_use_case, NOW - DAY, NOW).describe() == ()


def replace_slices(use_case: UseCase, *slices: Slice) -> UseCase:
    return replace(use_case, slices=slices)
