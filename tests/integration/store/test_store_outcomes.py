"""Outcomes on a real MariaDB: appended once, before or after their predictions, and read joined with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.outcomes import Outcome, count_orphan_outcomes, insert_outcomes
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.partitions import maintain_partitions
from evergreen.usecase import UseCase
from support.toy_schema import rows

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR_9999 = datetime(9999, 12, 31, 23, tzinfo=UTC)


def make_id(at: datetime, number: int = 0) -> str:
    """A UUIDv7 of that moment (RFC 9562)."""
    text = f"{(round(at.timestamp() * 1000) << 80) | (0x7 << 76) | (0b10 << 62) | number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def log(database: sa.Engine, use_case: UseCase, *numbers: int, at: datetime = NOON) -> None:
    made = [PredictionRow(make_id(at, n), 1, "online", {"client_id": n}, "yes") for n in numbers]
    assert insert_predictions(database, use_case, made) == len(made)


def outcome(number: int, actual: str, at: datetime, *, of: str) -> Outcome:
    return Outcome(make_id(at, number), of, actual, at)


def read_actuals(database: sa.Engine, use_case: UseCase) -> list[str | None]:
    return list(read_predictions(database, use_case, NOON - DAY, NOON + DAY)["actual"])


def test_the_newest_outcome_is_the_predictions(database: sa.Engine, toy_use_case: UseCase) -> None:
    log(database, toy_use_case, 0, 1, 2)
    first, second = make_id(NOON, 0), make_id(NOON, 1)
    later = NOON + DAY
    sent = [
        outcome(2, "no", later, of=first.upper()),
        outcome(1, "yes", later, of=first),  # of the same moment, with a smaller id
        outcome(9, "yes", NOON, of=first),
        outcome(4, "no", NOON + 2 * DAY, of=second),
    ]
    assert insert_outcomes(database, toy_use_case, sent) == 4
    frame = read_predictions(database, toy_use_case, NOON - DAY, NOON)
    assert frame["actual"].tolist() == ["no", "no", None]
    assert frame["actual_at"].tolist()[:2] == [pd.Timestamp(later), pd.Timestamp(NOON + 2 * DAY)]
    assert pd.isna(frame["actual_at"][2])
    assert frame.columns[-2:].tolist() == ["actual", "actual_at"]


def test_an_outcome_is_kept_once_and_never_changed(database: sa.Engine, toy_use_case: UseCase) -> None:
    log(database, toy_use_case, 0)
    sent = outcome(1, "no", NOON, of=make_id(NOON, 0))
    assert insert_outcomes(database, toy_use_case, [sent, sent]) == 1
    other = outcome(2, "no", NOON - DAY, of=make_id(NOON, 0))
    assert insert_outcomes(database, toy_use_case, [replace(sent, actual="yes"), other]) == 1
    assert insert_outcomes(database, toy_use_case, []) == 0
    assert read_actuals(database, toy_use_case) == ["no"]


def test_an_outcome_may_come_before_its_prediction(database: sa.Engine, toy_use_case: UseCase) -> None:
    insert_outcomes(database, toy_use_case, [outcome(1, "no", NOON, of=make_id(NOON, 0))])
    assert count_orphan_outcomes(database, toy_use_case, NOON + DAY) == 1
    log(database, toy_use_case, 0)
    assert read_actuals(database, toy_use_case) == ["no"]
    assert count_orphan_outcomes(database, toy_use_case, NOON + DAY) == 0


def test_orphans_are_counted_once_each_up_to_a_moment(database: sa.Engine, toy_use_case: UseCase) -> None:
    log(database, toy_use_case, 0)
    unknown, unborn = make_id(NOON, 77), make_id(YEAR_9999, 1)
    sent = [
        outcome(1, "no", NOON, of=make_id(NOON, 0)),
        outcome(2, "no", NOON, of=unknown),
        outcome(3, "yes", NOON, of=unknown),
        outcome(4, "yes", NOON + DAY, of=unborn),
    ]
    assert insert_outcomes(database, toy_use_case, sent) == 4
    counts = [count_orphan_outcomes(database, toy_use_case, NOON + n * DAY) for n in (0, 1, 2)]
    assert counts == [0, 1, 2]


def test_no_outcome_before_there_is_a_table(settings: Settings, toy_use_case: UseCase) -> None:
    database = get_engine(settings)
    assert count_orphan_outcomes(database, toy_use_case, NOON) == 0
    # The service says "later" (503) then, and keeps the row.
    with pytest.raises(SchemaMismatch, match="no table toy__outcome yet"):
        insert_outcomes(database, toy_use_case, [outcome(1, "no", NOON, of=make_id(NOON))])


@pytest.mark.parametrize(
    "prediction_id",
    ["", "nonsense", "7b2e1f6a-8a5c-4c1e-9e55-0a4c1d6f7e21", "ffffffff-ffff-7000-8000-000000000000"],
)
def test_an_id_that_no_service_gives_is_refused_with_all_beside_it(
    database: sa.Engine, toy_use_case: UseCase, prediction_id: str
) -> None:
    sent = [outcome(1, "no", NOON, of=make_id(NOON)), outcome(2, "no", NOON, of=prediction_id)]
    with pytest.raises(StoreError, match="not a prediction id") as refusal:
        insert_outcomes(database, toy_use_case, sent)
    assert refusal.value.http_status == 400
    assert rows(database, "SELECT COUNT(*) FROM toy__outcome") == [(0,)]


def test_one_outcome_that_does_not_fit_keeps_all_out(database: sa.Engine, toy_use_case: UseCase) -> None:
    sent = [outcome(1, "no", NOON, of=make_id(NOON)), outcome(2, "x" * 256, NOON, of=make_id(NOON))]
    with pytest.raises(sa.exc.DataError):
        insert_outcomes(database, toy_use_case, sent)
    with pytest.raises(StoreError, match="not the id of an outcome"):
        insert_outcomes(database, toy_use_case, [replace(sent[0], outcome_id="1")])
    with pytest.raises(StoreError, match="UTF-8"):
        insert_outcomes(database, toy_use_case, [replace(sent[0], actual="\ud800")])
    with pytest.raises(StoreError, match="finite"):
        insert_outcomes(database, toy_use_case, [replace(sent[0], actual=float("nan"))])
    assert rows(database, "SELECT COUNT(*) FROM toy__outcome") == [(0,)]


def test_outcomes_go_with_the_day_of_their_predictions(database: sa.Engine, toy_use_case: UseCase) -> None:
    use_case = replace(toy_use_case, serving=replace(toy_use_case.serving, retention=10 * DAY))
    log(database, use_case, 0)
    log(database, use_case, 1, at=NOON - DAY)
    moments = (NOON, NOON - DAY, datetime(1970, 1, 2, tzinfo=UTC), YEAR_9999)
    of = [make_id(moment, number) for number, moment in enumerate(moments)]
    # All were learned late: it is the day of the prediction that counts.
    insert_outcomes(
        database, use_case, [outcome(n, "no", NOON + 3 * DAY, of=each) for n, each in enumerate(of)]
    )
    maintain_partitions(database, use_case, NOON)
    kept = "SELECT prediction_id FROM toy__outcome ORDER BY prediction_id"
    assert rows(database, kept) == [(of[1],), (of[0],), (of[3],)]
    maintain_partitions(database, use_case, NOON + 10 * DAY)
    assert rows(database, kept) == [(of[0],), (of[3],)]
    # No prediction comes in the year 9999: that outcome goes by the day on which it was learned.
    maintain_partitions(database, use_case, NOON + 14 * DAY)
    assert rows(database, kept) == []
    log(database, use_case, 5, at=NOON + 14 * DAY)
    late = [outcome(5, "no", NOON + 15 * DAY, of=make_id(NOON + 14 * DAY, 5))]
    assert insert_outcomes(database, use_case, late) == 1
    days = rows(
        database,
        "SELECT partition_name FROM information_schema.partitions WHERE table_schema = DATABASE()"
        " AND table_name = 'toy__outcome' ORDER BY partition_ordinal_position",
    )
    assert ("p20260701",) in days
