"""Drift reports of a window of the log, and their figures as rows; real MariaDB, no model."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.prediction_counter import PredictionCounter
from evergreen.model.reference_profile import (
    PREDICTION,
    build_reference_profile,
    build_slice_profiles,
    load_sliced_profiles,
    save_reference_profile,
)
from evergreen.model.slice_groups import ALL_ROWS, SliceGroup
from evergreen.monitoring.drift.chosen_windows import ChosenWindow, compare_with_profile, compare_with_window
from evergreen.monitoring.drift.report import build_drift_report, describe_clock_skew
from evergreen.monitoring.drift.sample import read_input_sample
from evergreen.registry.champion import Champion
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.drift import count_verdicts, find_latest_report, save_report
from evergreen.store.records.checks.drift_metric import read_drift_metrics, read_metric_course
from evergreen.store.tables.forget import erase_use_case
from evergreen.usecase import CATEGORY_CHARACTERS, DriftPolicy, Slice, UseCase

START = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHAMPION = Champion(1, "run", START)
STORED = ("age", "visits", "spend", "segment", "mood")


@pytest.fixture
def use_case(toy_use_case: UseCase) -> UseCase:
    """The toy with a slice, and with the policy of who declares none."""
    return replace(toy_use_case, drift=DriftPolicy(min_rows=200), slices=(Slice("segment"),))


@pytest.fixture
def log(database, use_case, toy_frames):
    """A function that logs rows of version 1 over the hour that ends at a moment; the version's profiles are
    those of 4,000 rows."""
    columns, label = build_columns(use_case, toy_frames, 4_000, 1)
    whole = build_reference_profile(use_case, columns, label)
    sliced = build_slice_profiles(use_case, whole, columns, label, columns)
    save_reference_profile(database, "toy", 1, [*whole, *sliced])
    seeds = iter(range(10, 100))

    def fill(count, end, *, answers=("no", "yes"), change=lambda columns: None, shift=0.0):
        seed = next(seeds)
        rng = np.random.default_rng(seed)
        made, _ = build_columns(use_case, toy_frames, count, seed, shift)
        change(made)
        made = add_on_demand_columns(use_case, {name: made[name] for name in STORED})
        rows = []
        for place in range(count):
            at = end - HOUR * (count - place) / count
            number = (int(at.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62)
            values = {name: plain(made[name][place]) for name in STORED}
            ratio = plain(made["spend_per_visit"][place])
            rows.append(
                PredictionRow(
                    str(uuid.UUID(int=number | int(rng.integers(2**60)))),
                    1,
                    "online",
                    {"client_id": place, **values},
                    answers[place % len(answers)],
                    on_demand={"spend_per_visit": ratio},
                )
            )
        load_predictions(database, use_case, rows, PredictionCounter(database, use_case))

    return fill


def build_columns(use_case, toy_frames, count, seed, shift=0.0):
    """Columns of the toy's inputs, with the on-demand feature, and the labels of their rows."""
    frames = toy_frames(count, seed=seed, shift=shift)
    columns = build_columns_from_frame(frames["facts"], use_case)
    return add_on_demand_columns(use_case, columns), frames["label"]["leaves"].to_numpy(dtype=object)


def plain(value):
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def build(database, use_case, as_of):
    return save_report(database, build_drift_report(database, use_case, CHAMPION, as_of))


def test_a_report_and_its_figures_are_kept_together_and_once(database, use_case, log):
    log(600, START + HOUR)
    measured = build_drift_report(database, use_case, CHAMPION, START + HOUR)
    assert (measured.row_count, measured.drifted) == (600, False)
    assert measured.window_start == START
    kept = save_report(database, measured)
    assert kept == replace(measured, metrics=())
    assert sorted(read_drift_metrics(database, kept.id), key=str) == sorted(measured.metrics, key=str)
    # Who comes second, with other figures, changes nothing.
    other = replace(measured, reason="other", metrics=measured.metrics[:1])
    assert save_report(database, other) == kept
    assert len(read_drift_metrics(database, kept.id)) == len(measured.metrics)
    slices = {each.slice for each in measured.metrics}
    assert {"", "segment=web"} <= slices
    assert {each.feature for each in measured.metrics if each.metric == "psi"} >= {"age", PREDICTION}


def test_figures_are_a_course_and_go_with_the_use_case(database, use_case, log):
    for number in (1, 2, 3):
        log(300, START + number * HOUR)
        build(database, use_case, START + number * HOUR)
    course = read_metric_course(database, "toy", "psi", START + HOUR, START + 3 * HOUR)
    assert sorted({point.as_of for point in course}) == [START + 2 * HOUR, START + 3 * HOUR]
    assert {point.model_version for point in course} == {1}
    assert len([point for point in course if point.metric.feature == "age"]) == 2
    assert [point.metric.slice for point in course] == [""] * len(course)
    erase_use_case(database, use_case)
    assert read_metric_course(database, "toy", "psi", START, START + 3 * HOUR) == []


def test_checks_with_a_verdict_are_counted_and_spend_the_level(database, use_case, log):
    log(100, START + HOUR)
    assert build(database, use_case, START + HOUR).drifted is None
    log(300, START + 2 * HOUR)
    second = build_drift_report(database, use_case, CHAMPION, START + 2 * HOUR)
    save_report(database, second)
    assert (second.window_start, second.row_count, second.drifted) == (START, 400, False)
    log(300, START + 3 * HOUR)
    third = build_drift_report(database, use_case, CHAMPION, START + 3 * HOUR)
    assert (third.window_start, third.row_count) == (START + 2 * HOUR, 300)
    levels = [
        next(each.limit for each in report.metrics if each.metric == "g_test_p") for report in (second, third)
    ]
    assert levels == [0.01 / 2, 0.01 / 6]
    assert count_verdicts(database, "toy", 1, START + 3 * HOUR) == 1
    assert count_verdicts(database, "toy", 2, START + 3 * HOUR) == 0
    assert count_verdicts(database, "toy", 1, START + 2 * HOUR) == 0


def test_relations_that_change_are_seen_by_the_sample_alone(database, use_case, log):
    def follow(columns):
        ranks = np.argsort(np.argsort(columns["age"], kind="stable"))
        columns["visits"] = np.sort(columns["visits"])[ranks]

    log(1_000, START + HOUR)
    first = build(database, use_case, START + HOUR)
    assert first.multivariate is not None
    assert (first.multivariate.severity, first.multivariate.auc) == ("unknown", None)
    assert "there are 1,000 and 0" in first.multivariate.reason
    log(1_000, START + 2 * HOUR)
    usual = build(database, use_case, START + 2 * HOUR).multivariate
    assert (usual.severity, usual.rows_before, usual.rows_now) == ("none", 1_000, 1_000)
    assert usual.low < 0.5 < usual.high
    log(1_000, START + 3 * HOUR, change=follow)
    moved = build(database, use_case, START + 3 * HOUR)
    assert moved.multivariate.severity == "drift"
    assert {"age", "visits"} <= set(moved.multivariate.features)
    assert any(line.startswith("1,000 predictions are told from 2,000 earlier") for line in moved.warnings)
    by_name = {feature.feature: feature for feature in moved.features}
    assert (by_name["age"].severity, by_name["visits"].severity) == ("none", "none")
    stored = find_latest_report(database, "toy")
    assert stored is not None
    assert stored.multivariate == moved.multivariate


def test_huge_outliers_are_a_warning_with_a_line_of_their_own(database, use_case, log):
    def spoil(columns):
        columns["spend"] = np.concatenate([(1e300, -1e200, 1e6), columns["spend"][3:]])
        columns["visits"] = np.full(1_000, np.nan)  # no value at all is no outlier

    log(1_000, START + HOUR)
    assert not [line for line in build(database, use_case, START + HOUR).warnings if "beyond" in line]
    log(1_000, START + 2 * HOUR, change=spoil)
    report = build(database, use_case, START + 2 * HOUR)
    (line,) = [line for line in report.warnings if line.startswith("spend:")]
    assert line.startswith("spend: 3 of 1,000 rows looked at lie beyond 10 times the reference's range (")
    assert line.endswith("the farthest is 1e+300")
    assert "drift" not in {each.severity for each in report.features if each.feature == "spend"}
    kept = read_drift_metrics(database, report.id)
    rows = [(each.feature, each.value, each.severity) for each in kept if each.metric == "outliers"]
    assert ("spend", 3.0, "warning") in rows
    assert "visits" not in {name for name, _, _ in rows}
    window = ChosenWindow(1, START + HOUR, START + 2 * HOUR)
    assert line in compare_with_profile(database, use_case, window, 1).result.warnings


def test_a_policy_may_want_no_sample(database, use_case, log):
    log(300, START + HOUR)
    use_case = replace(use_case, drift=DriftPolicy(min_rows=200, sample_rows=0))
    report = build_drift_report(database, use_case, CHAMPION, START + HOUR)
    assert report.multivariate is None
    assert "auc" not in {each.metric for each in report.metrics}


def test_a_sample_is_bounded_the_same_again_and_of_its_window(database, use_case, log):
    log(1_000, START + HOUR)
    log(1_000, START + 2 * HOUR, change=lambda columns: columns.update(age=np.full(1_000, 99.0)))

    def read(rows, start=START, end=START + HOUR):
        return read_input_sample(database, use_case, 1, start, end, rows)

    sample = read(200)
    assert {name: len(values) for name, values in sample.items()} == dict.fromkeys(sample, 200)
    assert "spend_per_visit" in sample
    assert sample["age"].tolist() == read(200)["age"].tolist()
    assert 99.0 not in sample["age"]
    assert len(read(5_000)["age"]) == 1_000
    assert len(read(5_000, end=START + 2 * HOUR)["age"]) == 2_000
    assert len(read(100, START - HOUR, START)["age"]) == 0
    assert len(read_input_sample(database, use_case, 2, START, START + HOUR, 100)["age"]) == 0


def test_windows_that_a_person_chose_are_compared_and_nothing_is_written(database, use_case, log):
    log(1_000, START + HOUR, shift=2.0)
    log(1_000, START + 2 * HOUR, shift=2.0)
    log(1_000, START + 3 * HOUR)
    with database.begin() as connection:  # hours that nobody counted
        connection.execute(sa.text("DELETE FROM prediction_count"))
        connection.execute(sa.text("UPDATE prediction_hour SET counted = 0"))

    def choose(first, last, version=1):
        return ChosenWindow(version, START + first * HOUR, START + last * HOUR)

    alike = compare_with_window(database, use_case, choose(1, 2), choose(0, 1))
    assert (alike.result.rows, alike.result.drifted, alike.other.rows) == (1_000, False, 1_000)
    assert compare_with_window(database, use_case, choose(2, 3), choose(0, 1)).result.drifted is True
    # Slices: a declared one, a category and a number that nobody declared, against the window before.
    slices = [Slice("segment"), Slice("mood"), Slice("age")]
    moved = compare_with_profile(database, use_case, choose(1, 2), 1, slices)
    assert moved.result.drifted is True
    names = {each.slice for each in moved.result.metrics}
    assert {"segment=web", "mood=fine"} <= names
    assert len([name for name in names if name.startswith("age=")]) == 4
    (note,) = [each for each in moved.notes if "slices of mood, age" in each]
    assert "the window before, 2026-07-01 00:00 to 2026-07-01 01:00 UTC" in note
    by_age = [each for each in moved.result.metrics if each.slice.startswith("age=")]
    assert "drift" not in {each.severity for each in by_age}  # the window before had moved as well
    assert sum(each.value for each in by_age if each.metric == "rows") == 1_000
    # Another reference, and the other side of another version.
    save_reference_profile(database, "toy", 2, list(load_sliced_profiles(database, "toy", 1)[""].values()))
    other = compare_with_profile(database, use_case, choose(1, 2), 2)
    own = compare_with_profile(database, use_case, choose(1, 2), 1)
    assert [(each.feature, each.current) for each in other.result.features] == [
        (each.feature, each.current) for each in own.result.features
    ]
    overlapping = compare_with_window(database, use_case, choose(1, 3), choose(0, 2))
    assert any(note.startswith("the windows overlap") for note in overlapping.notes)
    with pytest.raises(StoreError, match="version 2 of toy has no predictions") as refused:
        compare_with_window(database, use_case, choose(1, 2), choose(0, 1, version=2))
    assert "version 1 has 3,000 (online), 2026-07-01 00:00 to 2026-07-01 02:00 UTC" in refused.value.hint
    with pytest.raises(StoreError, match="version 3 of toy has no reference profile"):
        compare_with_profile(database, use_case, choose(1, 2), 3)
    with database.connect() as connection:
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM prediction_count")) == 0
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM drift_report")) == 0


def test_the_onset_within_a_chosen_window_is_told(database, use_case, log):
    for number in range(1, 5):
        log(300, START + number * HOUR, shift=2.0 if number > 2 else 0.0)
    window = ChosenWindow(1, START, START + 4 * HOUR)
    assert compare_with_profile(database, use_case, window, 1).since == START + 2 * HOUR


def test_rows_of_the_future_are_a_warning(database, use_case, log):
    log(300, START + HOUR)
    assert describe_clock_skew(database, use_case, START + HOUR) == ()
    (line,) = describe_clock_skew(database, use_case, START + HOUR / 2)
    # A row each 12 seconds, and clocks are allowed a minute.
    assert line == (
        "144 predictions carry a time in the future, up to 2026-07-01 00:59 UTC: the clock of a service is"
        " ahead, and they are not looked at before that time"
    )


def test_a_feature_that_is_new_and_one_that_vanished_are_told(database, use_case, log):
    log(300, START + HOUR, change=lambda columns: columns.update(mood=np.full(300, None, dtype=object)))
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM reference_profile WHERE feature = 'age'"))
    report = build_drift_report(database, use_case, CHAMPION, START + HOUR)
    assert "age has no reference: it was declared after the model was trained" in report.notes
    assert "age" not in {feature.feature for feature in report.features}
    assert {each.feature: each.severity for each in report.features}["mood"] == "drift"
    assert report.drifted is True


def test_the_hour_in_which_drift_began_is_told(database, use_case, log):
    for number in range(1, 7):
        log(300, START + number * HOUR, shift=2.0 if number > 3 else 0.0)
    report = build(database, use_case, START + 6 * HOUR)
    assert (report.drifted, report.since) == (True, START + 3 * HOUR)
    stored = find_latest_report(database, "toy")
    assert stored is not None
    assert stored.since == report.since
    early = build_drift_report(database, use_case, CHAMPION, START + 3 * HOUR)
    assert (early.drifted, early.since) == (False, None)


def test_a_slice_may_have_the_longest_name_that_a_category_may_have(database, use_case, log):
    name = "é" * CATEGORY_CHARACTERS
    longest = SliceGroup("segment", name)

    whole = load_sliced_profiles(database, "toy", 1)[ALL_ROWS].values()
    save_reference_profile(database, "toy", 1, [*whole, *(replace(each, group=longest) for each in whole)])
    one = [
        PredictionRow(
            str(uuid.UUID(int=(int(START.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62))),
            1,
            "online",
            {"client_id": 1, "segment": name},
            "yes",
        )
    ]
    load_predictions(database, use_case, one, PredictionCounter(database, use_case))
    kept = build(database, use_case, START + HOUR)
    found = {
        each.slice: each.value for each in read_drift_metrics(database, kept.id) if each.metric == "rows"
    }
    assert found == {"": 1, longest.name: 1}
