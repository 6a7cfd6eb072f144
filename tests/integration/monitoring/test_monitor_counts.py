"""Counts that are kept while predictions are logged are those of the log; real MariaDB."""

from __future__ import annotations

import os
import pkgutil
import signal
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.model.prediction_counter import PredictionCounter, digest_bins
from evergreen.model.reference_profile import (
    PREDICTION,
    FeatureProfile,
    arrange_profiles,
    save_reference_profile,
)
from evergreen.model.slice_groups import SliceGroup
from evergreen.monitoring.counts import window
from evergreen.monitoring.counts.proof import mend_all_counts, prove_counts
from evergreen.monitoring.counts.recount import recount_hours, recount_window
from evergreen.monitoring.counts.window import WindowCounts, read_window_counts
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.channels import BATCH, ONLINE, SHADOW, TRAFFIC
from evergreen.store.predictions.counts import HourlyCounts, delete_counts, read_hourly_counts
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount, insert_refused_counts
from evergreen.store.tables.forget import erase_use_case, is_empty
from evergreen.usecase import UseCase
from support.toy_schema import LOG, rows

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = (NOON - 12 * HOUR, NOON + 12 * HOUR)

YOUNG = SliceGroup("age", "< 30", None, 30.0)
OLD = SliceGroup("age", ">= 30", 30.0, None)
WEB = SliceGroup("segment", "web")

WHOLE = [
    FeatureProfile("age", "numeric", (0.0, 30.0, 45.0), (5, 5, 5, 5, 0)),
    FeatureProfile("visits", "numeric", (), (20, 0)),
    FeatureProfile("spend", "numeric", (-1.5, 0.0, 0.1, 1e300), (4, 4, 4, 4, 4, 0)),
    FeatureProfile("spend_per_visit", "numeric", (0.5,), (10, 10, 0)),
    FeatureProfile("segment", "category", ("shop", "web"), (10, 10, 0, 0)),
    FeatureProfile("mood", "category", (), (20, 0)),
    FeatureProfile(PREDICTION, "category", ("no", "yes"), (10, 10, 0, 0)),
]
PROFILES = [*WHOLE, *(replace(each, group=group) for group in (YOUNG, OLD, WEB) for each in WHOLE)]
SLICED = arrange_profiles(PROFILES)

# Edges that are hit exactly, their neighbours, numbers that DOUBLE cannot hold, and huge outliers.
SPEND = st.none() | st.sampled_from(
    [
        *(-1.5, 0.0, -0.0, 0.1, 0.1 + 2**-56, 0.30000000000000004, 1e300, 1.7e308, -1.7e308, 2.3e-308),
        *(float("nan"), float("inf"), float("-inf"), *np.nextafter([-1.5, 0.1, 1e300], np.inf).tolist()),
    ]
)
SPEND |= st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=False)
AGE = st.none() | st.sampled_from([-1, 0, 1, 29, 30, 31, 45, 2**53 + 1, -(2**63)]) | st.integers(0, 90)
SEGMENT = st.none() | st.sampled_from(["web", "shop", "Web", "web ", "", "phone", "missing", "None", "wéb"])
ROWS = st.lists(
    st.builds(
        lambda noise, minutes, version, channel, inputs, prediction, on_demand: PredictionRow(
            make_id(noise, NOON + timedelta(minutes=minutes)),
            version,
            channel,
            inputs,
            prediction,
            on_demand=on_demand,
        ),
        st.integers(0, 200),
        st.sampled_from([-61, -1, 0, 1, 59, 60, 179]),
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from([ONLINE, ONLINE, BATCH, SHADOW]),
        st.fixed_dictionaries(
            {"age": AGE, "visits": AGE, "spend": SPEND, "segment": SEGMENT, "mood": SEGMENT}
        ),
        st.sampled_from(["no", "yes", "perhaps"]),
        st.just({}) | st.fixed_dictionaries({"spend_per_visit": SPEND}),
    ),
    max_size=30,
)


def make_id(noise: int, at: datetime = NOON) -> str:
    """A UUIDv7 of that moment."""
    return str(
        uuid.UUID(int=(int(at.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62) | noise),
    )


def row(noise: int, at: datetime = NOON, version: int = 1, **inputs: Any) -> PredictionRow:
    return PredictionRow(make_id(noise, at), version, ONLINE, {"age": 40, **inputs}, "yes")


def empty(database: sa.Engine) -> None:
    with database.begin() as connection:
        for table in (LOG, "prediction_hour", "prediction_count"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def recount(
    database: sa.Engine, use_case: UseCase, version: int, channels: Sequence[str] = TRAFFIC
) -> HourlyCounts:
    """The counts of the day by the hour, from the log."""
    with database.connect() as connection:
        return recount_hours(connection, use_case, version, SLICED, *DAY, channels)


def assert_same(kept: HourlyCounts, anew: HourlyCounts) -> None:
    """The same rows in the same bins."""
    assert kept.hours == anew.hours
    assert kept.counted.tolist() == kept.rows.tolist() == anew.rows.tolist()
    names = {
        (name, feature) for each in (kept, anew) for name in each.counts for feature in each.counts[name]
    }
    for name, feature in names if kept.hours else ():
        assert kept.counts[name][feature].tolist() == anew.counts[name][feature].tolist(), (name, feature)


def assert_those_of_log(database: sa.Engine, use_case: UseCase, counts: WindowCounts) -> None:
    """A window's counts are those of the log between its bounds."""
    total, anew = recount_window(database, use_case, 1, SLICED, counts.start, counts.end)
    assert counts.rows == total
    assert {name: set(some) for name, some in counts.counts.items()} == {
        name: set(some) for name, some in anew.items()
    }
    for name, some in anew.items():
        for feature, bins in some.items():
            assert counts.counts[name][feature].tolist() == bins.tolist(), (name, feature)


def count_in_python(database: sa.Engine, version: int, channels: Sequence[str]) -> dict[str, Any]:
    """All logged rows read and counted by the profiles themselves."""
    names = ("age", "visits", "spend", "spend_per_visit", "segment", "mood", "prediction")
    listed = ", ".join(f"'{channel}'" for channel in channels)
    read = rows(
        database,
        f"SELECT {', '.join(names)} FROM {LOG} WHERE model_version = {version} AND channel IN ({listed})",
    )
    columns = dict(zip(names, zip(*read, strict=True), strict=True)) if read else dict.fromkeys(names, ())
    counts: dict[str, Any] = {}
    for group in (None, YOUNG, OLD, WEB):
        chosen = np.ones(len(read), dtype=bool)
        if group is not None:
            chosen = group.select(np.array(columns[group.feature], float if group.numeric else object))
        for profile in WHOLE:
            values = columns["prediction" if profile.feature == PREDICTION else profile.feature]
            some = [value for value, take in zip(values, chosen, strict=True) if take]
            counts.setdefault(group.name if group else "", {})[profile.feature] = profile.count(some).tolist()
    return counts


@pytest.fixture
def profiled(database: sa.Engine) -> sa.Engine:
    """A store whose versions 1 and 2 have a reference profile."""
    for version in (1, 2):
        save_reference_profile(database, "toy", version, PROFILES)
    return database


@settings(max_examples=40)
@given(batches=st.lists(ROWS, min_size=1, max_size=4), draw=st.data())
def test_kept_counts_are_those_of_the_log(
    profiled: sa.Engine, toy_use_case: UseCase, batches: list[list[PredictionRow]], draw: st.DataObject
) -> None:
    """Whatever the rows, in which batches they come, also twice, and by which way."""
    empty(profiled)
    counter = PredictionCounter(profiled, toy_use_case)
    sent: list[PredictionRow] = []
    for batch in batches:
        # Some rows of this and of former batches come again.
        again = draw.draw(st.lists(st.sampled_from(sent), max_size=5)) if sent else []
        write = draw.draw(st.sampled_from([load_predictions, insert_predictions]))
        write(profiled, toy_use_case, [*again, *batch], counter)
        sent += batch
    for version, channels in ((1, (ONLINE,)), (1, (BATCH, SHADOW)), (2, (ONLINE, BATCH, SHADOW))):
        kept = read_hourly_counts(profiled, "toy", version, *DAY, channels)
        assert_same(kept, recount(profiled, toy_use_case, version, channels))
        total, counts = recount_window(profiled, toy_use_case, version, SLICED, *DAY, channels)
        expected = count_in_python(profiled, version, channels)
        assert total == sum(expected[""]["visits"])
        assert {
            name: {feature: bins.tolist() for feature, bins in some.items()} for name, some in counts.items()
        } == expected


def test_hours_versions_and_channels_are_apart(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    counter = PredictionCounter(profiled, toy_use_case)
    made = [row(1), row(2, NOON + HOUR, segment="web"), row(3, NOON + HOUR, age=None), row(4, version=2)]
    load_predictions(profiled, toy_use_case, [*made, replace(row(5), channel=SHADOW)], counter)
    counts = read_hourly_counts(profiled, "toy", 1, *DAY)
    assert counts.hours == (NOON, NOON + HOUR)
    assert counts.rows.tolist() == counts.counted.tolist() == [1, 2]
    assert counts.counts[""]["age"].tolist() == [[0, 0, 1, 0, 0], [0, 0, 1, 0, 1]]
    assert counts.counts["segment=web"]["age"][1].tolist() == [0, 0, 1, 0, 0]
    assert counts.sum()["age=>= 30"]["age"].tolist() == [0, 0, 2, 0, 0]
    assert counts.sum(NOON + HOUR)[""]["segment"].tolist() == [0, 1, 0, 1]
    assert counts.sum(end=NOON + HOUR)[""]["segment"].tolist() == [0, 0, 0, 1]
    assert read_hourly_counts(profiled, "toy", 1, *DAY, [SHADOW]).rows.tolist() == [1]
    assert read_hourly_counts(profiled, "toy", 2, *DAY).rows.tolist() == [1]
    assert read_hourly_counts(profiled, "toy", 3, *DAY).hours == ()
    assert rows(
        profiled,
        "SELECT bin, bin_name, row_count, reference_rows FROM prediction_count_bin WHERE slice = ''"
        " AND feature = 'age' AND hour = '2026-06-10 13:00:00' ORDER BY bin",
    ) == [
        *((0, "<= 0.0", 0, 5), (1, "<= 30.0", 0, 5), (2, "<= 45.0", 1, 5), (3, "(above)", 0, 5)),
        (4, "(missing)", 1, 0),
    ]
    assert rows(
        profiled,
        "SELECT bin_name, SUM(row_count) FROM prediction_count_bin WHERE slice = ''"
        " AND feature = 'segment' AND model_version = 1 AND channel = 'online' GROUP BY bin ORDER BY bin",
    ) == [("shop", 0), ("web", 1), ("(other)", 0), ("(missing)", 2)]


def test_refused_rows_are_a_bin_of_their_own(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    load_predictions(
        profiled, toy_use_case, [row(1), row(2, NOON + HOUR)], PredictionCounter(profiled, toy_use_case)
    )
    later = NOON + timedelta(minutes=61)
    insert_refused_counts(
        profiled,
        toy_use_case,
        [RefusedCount(make_id(9), "age", "less_than_equal", 7, later - timedelta(seconds=10), later, "w1")],
    )
    counts = read_window_counts(profiled, toy_use_case, 1, SLICED, *DAY)
    assert counts.hourly.refused["age"].tolist() == [0, 7]
    assert counts.refused == {"age": 7}
    assert rows(
        profiled,
        "SELECT hour, model_version, bin, row_count FROM prediction_count_bin WHERE bin_name = '(refused)'",
    ) == [((NOON + HOUR).replace(tzinfo=None), None, None, 7)]


def test_a_window_may_begin_and_end_within_an_hour(
    profiled: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = PredictionCounter(profiled, toy_use_case)
    minutes = [timedelta(minutes=each) for each in (-90, -30, 0, 15, 59, 60, 130, 150)]
    made = [row(n, NOON + each, age=n) for n, each in enumerate(minutes)]
    load_predictions(profiled, toy_use_case, made, counter)

    def count(first: int, last: int) -> int:
        start, end = NOON + timedelta(minutes=first), NOON + timedelta(minutes=last)
        counts = read_window_counts(profiled, toy_use_case, 1, SLICED, start, end)
        assert (counts.start, counts.end) == (start, end)
        assert counts.counts[""]["visits"].sum() == counts.rows
        assert_those_of_log(profiled, toy_use_case, counts)
        return counts.rows

    bounds = [(-90, 130), (-60, 130), (-90, 120), (0, 60), (10, 20), (15, 15), (0, 10), (50, 60), (-30, 15)]
    assert [count(*each) for each in bounds] == [6, 5, 6, 3, 1, 0, 1, 1, 2]
    # An hour of too many rows is taken as a whole.
    monkeypatch.setattr(window, "MOST_RECOUNTED_ROWS", 2)
    counts = read_window_counts(
        profiled, toy_use_case, 1, SLICED, NOON + timedelta(minutes=10), NOON + timedelta(minutes=140)
    )
    assert (counts.start, counts.end) == (NOON, NOON + timedelta(minutes=140))
    assert counts.rows == 5


def test_a_window_without_predictions_counts_nothing(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    for bounds in (DAY, (NOON, NOON), (NOON, NOON - HOUR)):
        counts = read_window_counts(profiled, toy_use_case, 1, SLICED, *bounds)
        assert counts.rows == 0
        assert counts.counts["age=< 30"]["spend"].tolist() == [0] * 6


def test_rows_from_before_the_profile_are_counted_when_they_are_asked_for(
    database: sa.Engine, toy_use_case: UseCase, caplog: pytest.LogCaptureFixture
) -> None:
    counter = PredictionCounter(database, toy_use_case)
    for noise in (1, 2):
        load_predictions(database, toy_use_case, [row(noise)], counter)
    assert [record.message for record in caplog.records if "no reference profile" in record.message] == [
        "predictions of version 1 of toy are logged, but not counted for drift: it has no reference profile"
    ]
    assert rows(database, "SELECT row_count, counted, profile FROM prediction_hour") == [(2, 0, None)]
    save_reference_profile(database, "toy", 1, PROFILES)
    counter.forget_profile(1)  # as after a minute
    load_predictions(database, toy_use_case, [row(3)], counter)
    assert rows(database, "SELECT row_count, counted FROM prediction_hour") == [(3, 1)]
    counts = read_window_counts(database, toy_use_case, 1, SLICED, *DAY)
    assert counts.counts[""]["age"].tolist() == [0, 0, 3, 0, 0]
    assert rows(database, "SELECT row_count, counted FROM prediction_hour") == [(3, 3)]
    load_predictions(database, toy_use_case, [row(3), row(4)], counter)
    counts = read_window_counts(database, toy_use_case, 1, SLICED, *DAY)
    assert_those_of_log(database, toy_use_case, counts)
    assert counts.rows == 4


def test_rows_that_an_earlier_version_logged_are_counted_when_they_are_asked_for(
    profiled: sa.Engine, toy_use_case: UseCase
) -> None:
    with profiled.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_migration SET applied_at = '2026-06-10 11:30:00'")
        for noise, at in ((1, NOON - HOUR), (2, NOON), (5, NOON + 24 * HOUR)):
            connection.exec_driver_sql(
                f"INSERT INTO {LOG} (prediction_id, predicted_at, model_version, channel, age, prediction)"
                f" VALUES ('{make_id(noise, at)}', '{at:%Y-%m-%d %H:%M:%S}', 1, 'online', 40, 'yes')"
            )
    load_predictions(profiled, toy_use_case, [row(3)], PredictionCounter(profiled, toy_use_case))
    counts = read_window_counts(profiled, toy_use_case, 1, SLICED, *DAY)
    assert counts.hourly.counted.tolist() == [1, 2]
    # A day later nobody of an earlier version logs any more.
    assert read_window_counts(profiled, toy_use_case, 1, SLICED, NOON + 23 * HOUR, NOON + 26 * HOUR).rows == 0
    assert_those_of_log(profiled, toy_use_case, counts)


def test_another_profile_of_the_version_does_not_mix_with_its_counts(
    profiled: sa.Engine, toy_use_case: UseCase
) -> None:
    counter = PredictionCounter(profiled, toy_use_case)
    load_predictions(profiled, toy_use_case, [row(1)], counter)
    other = [
        replace(each, bins=(20.0,), counts=(1, 1, 0)) if each.feature == "age" else each for each in WHOLE
    ]
    save_reference_profile(profiled, "toy", 1, other)
    fresh = PredictionCounter(profiled, toy_use_case)
    load_predictions(profiled, toy_use_case, [row(2)], fresh)
    load_predictions(profiled, toy_use_case, [row(3)], counter)  # does not know the new one yet
    load_predictions(profiled, toy_use_case, [row(4)], counter)
    counts = read_window_counts(profiled, toy_use_case, 1, arrange_profiles(other), *DAY)
    assert counts.rows == 4
    assert counts.counts[""]["age"].tolist() == [0, 4, 0]
    assert rows(profiled, "SELECT profile FROM prediction_hour") == [(digest_bins(arrange_profiles(other)),)]


def test_rows_are_logged_where_there_are_no_counts_yet(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    with profiled.begin() as connection:
        connection.exec_driver_sql("DROP TABLE prediction_hour")
    counter = PredictionCounter(profiled, toy_use_case)
    assert load_predictions(profiled, toy_use_case, [row(1)], counter) == 1
    assert insert_predictions(profiled, toy_use_case, [row(2)], counter) == 1
    assert rows(profiled, f"SELECT COUNT(*) FROM {LOG}") == [(2,)]
    assert read_hourly_counts(profiled, "toy", 1, *DAY).hours == ()


def test_a_failed_count_leaves_no_row(
    profiled: sa.Engine, toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = PredictionCounter(profiled, toy_use_case)

    def fail(*_: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("evergreen.store.predictions.hour_counts._save_counts", fail)
        for write in (load_predictions, insert_predictions):
            with pytest.raises(OSError, match="killed"):
                write(profiled, toy_use_case, [row(1)], counter)
    assert rows(profiled, f"SELECT COUNT(*) FROM {LOG}") == [(0,)]
    assert rows(profiled, "SELECT COUNT(*) FROM prediction_hour") == [(0,)]


@pytest.mark.parametrize(
    ("place", "before"),
    [
        ("evergreen.store.predictions.insert.add_rows_to_hours", True),  # the rows are written
        ("evergreen.store.predictions.hour_counts._add_binned_rows", True),  # and the hours locked
        ("evergreen.store.predictions.hour_counts._save_counts", False),  # and the counts written
        ("sqlalchemy.engine.Connection.commit", False),  # and all of it committed
    ],
)
def test_a_process_that_is_killed_within_a_batch_counts_its_rows_once(
    profiled: sa.Engine, toy_use_case: UseCase, place: str, before: bool
) -> None:
    """SIGKILL while a batch is written; then the next process delivers it again, as a shipper does."""
    made = [row(n, NOON + n % 2 * HOUR, age=n, segment="web") for n in range(40)]
    load_predictions(profiled, toy_use_case, made[:10], PredictionCounter(profiled, toy_use_case))

    def die(call: Any) -> Any:
        def call_and_die(*arguments: Any) -> None:
            if not before:
                call(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        return call_and_die

    child = os.fork()
    if child == 0:
        try:
            module, _, name = place.rpartition(".")
            owner = pkgutil.resolve_name(module)
            setattr(owner, name, die(getattr(owner, name)))
            load_predictions(profiled, toy_use_case, made[5:30], PredictionCounter(profiled, toy_use_case))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert load_predictions(profiled, toy_use_case, made[5:], PredictionCounter(profiled, toy_use_case)) in (
        30,
        10,
    )
    kept = read_hourly_counts(profiled, "toy", 1, *DAY)
    assert kept.rows.tolist() == [20, 20]
    assert_same(kept, recount(profiled, toy_use_case, 1))


def test_several_shippers_add_up(profiled: sa.Engine, settings: Settings, toy_use_case: UseCase) -> None:
    """Each with connections of its own, all for the same hours, channels and versions, and for some of the
    same rows."""
    faults: list[Exception] = []

    def ship(worker: int) -> None:
        own = get_engine(settings)
        counter = PredictionCounter(own, toy_use_case)
        for batch in range(8):
            own_noise = [worker * 1_000 + batch * 20 + n for n in range(10)]
            shared = [900_000 + batch * 5 + n for n in range(5)]
            made = [
                replace(
                    row(noise, NOON + (noise % 3) * HOUR, version=1 + noise % 2, age=noise % 60),
                    channel=ONLINE if noise % 5 else SHADOW,
                )
                for noise in [*own_noise, *shared]
            ]
            write = load_predictions if batch % 2 else insert_predictions
            try:
                write(own, toy_use_case, made, counter)
            except Exception as error:  # noqa: BLE001  the test tells all of them
                faults.append(error)

    threads = [threading.Thread(target=ship, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert rows(profiled, f"SELECT COUNT(*) FROM {LOG}") == [(4 * 8 * 10 + 40,)]
    for version in (1, 2):
        for channel in (ONLINE, SHADOW):
            kept = read_hourly_counts(profiled, "toy", version, *DAY, [channel])
            assert_same(kept, recount(profiled, toy_use_case, version, [channel]))


def test_a_hundred_thousand_categories_are_other(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    made = [row(n, mood=f"mood {n}", segment=f"segment {n}") for n in range(3_000)]
    load_predictions(profiled, toy_use_case, made, PredictionCounter(profiled, toy_use_case))
    counts = read_window_counts(profiled, toy_use_case, 1, SLICED, *DAY)
    assert counts.counts[""]["mood"].tolist() == [3_000, 0]
    assert counts.counts[""]["segment"].tolist() == [0, 0, 3_000, 0]
    assert_those_of_log(profiled, toy_use_case, counts)


def test_counts_are_proven_or_their_faults_told(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    assert prove_counts(profiled, toy_use_case, *DAY) == []
    made = [
        row(1),
        row(2, NOON + HOUR, age=None),
        replace(row(3, version=2), channel=BATCH),
        row(4, version=9),
    ]
    load_predictions(profiled, toy_use_case, made, PredictionCounter(profiled, toy_use_case))
    first, batch, unknown = prove_counts(profiled, toy_use_case, *DAY)
    assert (first.model_version, first.channel, first.hours, first.rows, first.equal) == (
        1,
        ONLINE,
        2,
        2,
        True,
    )
    assert (batch.model_version, batch.channel, batch.differences) == (2, BATCH, ())
    assert unknown.differences == ("the version has no reference profile, so that nothing was counted",)
    assert first.to_json()["equal"] is True

    def fault(statement: str) -> str:
        with profiled.begin() as connection:
            connection.exec_driver_sql(f"{statement} AND hour = '2026-06-10 12:00:00'")
        return "; ".join(prove_counts(profiled, toy_use_case, *DAY)[0].differences)

    changed = "UPDATE prediction_count SET counts = '[1, 0, 0, 0, 0]' WHERE slice = '' AND feature = 'age'"
    assert fault(changed) == "the counts of age differ"
    assert fault("DELETE FROM prediction_count WHERE slice = 'age=>= 30' AND feature = 'mood'") == (
        "the counts of age differ; the counts of mood in age=>= 30 differ"
    )
    mend_all_counts(profiled, toy_use_case, *DAY)
    assert all(each.equal for each in prove_counts(profiled, toy_use_case, *DAY) if each.model_version != 9)
    assert fault("UPDATE prediction_hour SET counted = 0 WHERE TRUE") == (
        "in the hour of 2026-06-10 12:00 UTC 0 rows were counted, and 1 are in the log"
    )
    assert fault("DELETE FROM prediction_hour WHERE model_version = 1") == (
        "1 hours are not in both, the first of them 2026-06-10 12:00 UTC"
    )


def test_an_hour_whose_rows_were_deleted_is_proven_too(profiled: sa.Engine, toy_use_case: UseCase) -> None:
    made = [row(1), row(2, NOON + HOUR)]
    load_predictions(profiled, toy_use_case, made, PredictionCounter(profiled, toy_use_case))
    with profiled.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {LOG} WHERE prediction_id = '{make_id(1)}'")
    mend_all_counts(profiled, toy_use_case, *DAY)
    (proof,) = prove_counts(profiled, toy_use_case, *DAY)
    assert (proof.hours, proof.rows, proof.differences) == (1, 1, ())
    assert read_hourly_counts(profiled, "toy", 1, *DAY).hours == (NOON + HOUR,)


def test_counts_go_with_their_rows_and_with_their_use_case(
    profiled: sa.Engine, toy_use_case: UseCase
) -> None:
    yesterday = NOON - 24 * HOUR
    made = [row(1, yesterday), row(2)]
    load_predictions(profiled, toy_use_case, made, PredictionCounter(profiled, toy_use_case))
    assert delete_counts(profiled, "toy", yesterday + 11 * HOUR) == 0
    assert delete_counts(profiled, "other", NOON) == 0
    assert delete_counts(profiled, "toy", yesterday + 12 * HOUR) == 1
    assert read_hourly_counts(profiled, "toy", 1, yesterday, NOON + HOUR).hours == (NOON,)
    assert not is_empty(profiled, toy_use_case)
    erase_use_case(profiled, toy_use_case)
    assert is_empty(profiled, toy_use_case)
    assert rows(profiled, "SELECT COUNT(*) FROM prediction_count") == [(0,)]
