"""Loads into a real MariaDB: late rows, corrections, reruns, and what each moment knew."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import EmptyTrainingSet, ValidationFailed
from evergreen.store.history.training_set import read_training_set
from evergreen.store.online.vectors import read_latest_rows, read_online_features
from evergreen.usecase import UseCase
from support.toy_loads import DAY, JULY, JUNE, content, fact, facts, labels, load

Frames = Callable[..., dict[str, pd.DataFrame]]


def test_what_is_loaded_is_what_is_read(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = toy_frames(300)
    odd = frames["facts"].copy()
    # Everything that a CSV on the way could bend.
    odd.loc[0, "mood"] = 'a "quoted", \\N comma\nand a line; NULL'
    odd.loc[1, "mood"] = "NULL"
    odd.loc[2, "mood"] = "\\"
    odd.loc[3, "mood"] = "日本 🙂"
    odd.loc[4, "spend"] = 0.1 + 0.2
    odd.loc[5, "spend"] = 5e-324
    odd.loc[6, "age"] = float(2**53)
    odd.loc[7, "event_time"] = pd.Timestamp("2026-02-01T03:04:05.678901Z")
    counts = load(database, toy_use_case, JULY, {"facts": odd, "label": frames["label"]})
    assert counts == {"facts": 300, "label": 300}
    expected = odd.sort_values(["client_id", "event_time"]).groupby("client_id").tail(1)
    got = read_latest_rows(database, toy_use_case)
    pd.testing.assert_frame_equal(
        got, expected.sort_values("client_id", ignore_index=True)[list(got.columns)], check_dtype=True
    )
    joined = read_training_set(database, toy_use_case, JULY).frame
    wanted = odd.drop(index=7).sort_values(["event_time", "client_id"], ignore_index=True)
    same = joined.merge(wanted[["client_id", "event_time"]], on=["client_id", "event_time"])
    pd.testing.assert_frame_equal(same[list(odd.columns)], wanted, check_dtype=True)


def test_a_second_load_of_the_same_run_changes_nothing(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = toy_frames(120)
    first = load(database, toy_use_case, JULY, frames)
    before = content(database, toy_use_case)
    assert load(database, toy_use_case, JULY, frames) == first
    assert content(database, toy_use_case) == before
    # A later run that brings nothing new adds no row either.
    assert load(database, toy_use_case, JULY + DAY, frames) == {"facts": 0, "label": 0}
    assert content(database, toy_use_case) == before


def test_repeated_rows_in_one_batch_count_once(
    database: sa.Engine, toy_use_case: UseCase, toy_frames: Frames
) -> None:
    frames = {name: pd.concat([frame, frame]) for name, frame in toy_frames(60).items()}
    assert load(database, toy_use_case, JULY, frames) == {"facts": 60, "label": 60}


def test_a_correction_is_a_new_row_that_earlier_moments_do_not_see(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    when = JUNE - 20 * DAY
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 30)), "label": labels((1, when, "no"))})
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, when, 31)), "label": labels((1, when, "yes"))})
    before = read_training_set(database, toy_use_case, JULY - DAY).frame
    after = read_training_set(database, toy_use_case, JULY).frame
    assert (before["age"][0], before["leaves"][0]) == (30.0, "no")
    assert (after["age"][0], after["leaves"][0]) == (31.0, "yes")
    assert read_online_features(database, toy_use_case, [(1,)])[1,]["age"] == 31
    # Back to the former value, and from a value to none: both are news.
    load(database, toy_use_case, JULY + DAY, {"facts": facts(fact(1, when, 30))})
    assert (
        load(database, toy_use_case, JULY + 2 * DAY, {"facts": facts(fact(1, when, 30, "fine"))})["facts"]
        == 1
    )
    assert (
        load(database, toy_use_case, JULY + 3 * DAY, {"facts": facts(fact(1, when, 30, None))})["facts"] == 1
    )
    assert read_online_features(database, toy_use_case, [(1,)])[1,] == {
        "age": 30,
        "visits": 1,
        "spend": None,
        "segment": None,
        "mood": None,
    }


def test_a_late_row_is_kept_and_does_not_replace_a_newer_online_row(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, JUNE - 5 * DAY, 40))})
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, JUNE - 9 * DAY, 39))})
    assert read_online_features(database, toy_use_case, [(1,)])[1,]["age"] == 40
    load(database, toy_use_case, JULY, {"label": labels((1, JUNE - 7 * DAY, "yes"))})
    assert read_training_set(database, toy_use_case, JULY).frame["age"].tolist() == [39.0]


def test_a_backfill_of_an_earlier_moment_does_not_undo_a_later_correction(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    when = JUNE - 5 * DAY
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, when, 41))})
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 40)), "label": labels((1, when, "no"))})
    assert read_online_features(database, toy_use_case, [(1,)])[1,]["age"] == 41
    assert read_training_set(database, toy_use_case, JULY - DAY).frame["age"].tolist() == [40.0]
    assert read_training_set(database, toy_use_case, JULY).frame["age"].tolist() == [41.0]


def test_the_same_moment_again_with_mended_values_takes_them(
    database: sa.Engine, toy_use_case: UseCase
) -> None:
    when = JUNE - 5 * DAY
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 40))})
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 42))})
    assert read_online_features(database, toy_use_case, [(1,)])[1,]["age"] == 42
    assert len(content(database, toy_use_case)["toy__facts"]) == 1
    with database.connect() as connection:
        # What was physically there before is remembered by system versioning.
        ages = connection.execute(
            sa.text("SELECT age FROM toy__facts FOR SYSTEM_TIME ALL ORDER BY age")
        ).scalars()
        assert ages.all() == [40, 42]


def test_labels_count_from_their_delay_on(database: sa.Engine, toy_use_case: UseCase) -> None:
    when = JUNE - 7 * DAY
    load(
        database,
        toy_use_case,
        JUNE - 2 * DAY,
        {"facts": facts(fact(1, when, 40)), "label": labels((1, when, "no"))},
    )
    assert len(read_training_set(database, toy_use_case, JUNE).frame) == 1
    with pytest.raises(EmptyTrainingSet, match="toy has no labelled row as of") as raised:
        read_training_set(database, toy_use_case, JUNE - timedelta(microseconds=1))
    assert "ingest" in raised.value.hint
    assert len(read_training_set(database, toy_use_case, JUNE, since=when - DAY).frame) == 1
    with pytest.raises(EmptyTrainingSet):
        read_training_set(database, toy_use_case, JUNE, since=when)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_store_knows_what_a_brute_force_memory_knows(
    database: sa.Engine, toy_use_case: UseCase, seed: int
) -> None:
    """Random loads, also backfills out of order; each moment's training set against plain loops."""
    dice = random.Random(seed)
    days = [JUNE + n * DAY for n in range(6)]
    memory: list[tuple[str, int, datetime, datetime, Any]] = []
    for as_of in dice.sample(days, len(days)):
        # Values change with the moment and never change back: see the limit in ingest/loading/load.py.
        number = days.index(as_of)
        known = {some(dice): 20 + number // 2 for _ in range(8)}
        seen = {some(dice): "yes" if number >= 3 else "no" for _ in range(5)}
        load(
            database,
            toy_use_case,
            as_of,
            {
                "facts": facts(*(fact(client, at, age) for (client, at), age in known.items())),
                "label": labels(*((client, at, value) for (client, at), value in seen.items())),
            },
        )
        memory += [("fact", *key, as_of, age) for key, age in known.items()]
        memory += [("label", *key, as_of, value) for key, value in seen.items()]
    for moment in [days[0], days[2], days[5]]:
        expected = brute_force(memory, moment)
        frame = read_training_set(database, toy_use_case, moment).frame
        got = [(row.event_time, row.client_id, row.leaves, row.age) for row in frame.itertuples()]
        assert got == expected


def some(dice: random.Random) -> tuple[int, datetime]:
    return dice.randrange(4), JUNE - dice.randrange(12, 18) * DAY


def brute_force(memory: list[Any], moment: datetime) -> list[tuple[Any, ...]]:
    def versions(kind: str) -> dict[tuple[int, datetime], Any]:
        found: dict[tuple[int, datetime], tuple[datetime, Any]] = {}
        for what, client, at, ingested, value in memory:
            old = found.get((client, at))
            if what == kind and ingested <= moment and (old is None or ingested >= old[0]):
                found[client, at] = (ingested, value)
        return {key: value for key, (_, value) in found.items()}

    rows = []
    for (client, at), leaves in versions("label").items():
        before = [
            (when, age) for (who, when), age in versions("fact").items() if who == client and when <= at
        ]
        if before and at + 7 * DAY <= moment:
            rows.append((at, client, leaves, float(max(before)[1])))
    return sorted(rows)


def test_a_change_is_counted_where_there_was_one(database: sa.Engine, toy_use_case: UseCase) -> None:
    when = JUNE - 5 * DAY

    def changes() -> dict[str, int]:
        with database.connect() as connection:
            rows = connection.execute(sa.text("SELECT table_name, changes FROM store_state"))
            return {row.table_name: row.changes for row in rows}

    assert changes() == {}
    load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 40))})
    assert changes() == {"toy__facts": 1, "toy__facts__online": 1}
    load(database, toy_use_case, JULY, {"label": labels((1, when, "no"))})
    assert changes()["toy__label"] == 1
    # What is known already changes nothing, whether of another moment or of the same.
    for as_of in (JUNE, JULY):
        load(database, toy_use_case, as_of, {"facts": facts(fact(1, when, 40))})
    assert changes() == {"toy__facts": 1, "toy__facts__online": 1, "toy__label": 1}
    load(database, toy_use_case, JULY, {"facts": facts(fact(1, when, 41))})
    assert changes()["toy__facts"] == 2


def test_rows_that_differ_under_one_key_are_refused(database: sa.Engine, toy_use_case: UseCase) -> None:
    when = JUNE - 5 * DAY
    with pytest.raises(ValidationFailed, match=r"duplicate key.*1 2026-05-27"):
        load(database, toy_use_case, JUNE, {"facts": facts(fact(1, when, 40), fact(1, when, 41))})
    assert not any(content(database, toy_use_case).values())
