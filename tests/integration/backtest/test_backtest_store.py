"""Backtests of the toy on a real MariaDB: what a day knows, what is left alone, and interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from evergreen.backtest.options import BacktestOptions
from evergreen.backtest.run import run_backtest
from evergreen.loop.ingest import run_ingest
from evergreen.settings import Settings
from evergreen.store.connection.arrow import digest_table
from evergreen.store.connection.database import get_engine
from evergreen.store.history.labelled_history import read_labelled_history
from evergreen.store.history.query import build_query
from evergreen.store.history.training_set import read_training_set
from evergreen.usecase import UseCase
from support.command_line import CommandLine, Done, environment
from support.whole_database import read_everything

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
CHANGE = 35
Typed = Callable[..., Done]


def day(number: float) -> datetime:
    return START + number * DAY


def write_source(settings: Settings, rows: Callable[..., pd.DataFrame], until: int) -> None:
    """The toy's file as it was after so many days: 12 clients a day, whose behaviour turns on day `CHANGE`,
    and corrections of former days."""
    frame = rows(12 * DAYS, seed=4)
    number = np.arange(len(frame))
    frame["client_id"] = number + 1
    frame["month"] = [f"{START + int(each) // 12 * DAY:%Y-%m-%d}" for each in number]
    turned = number >= 12 * CHANGE
    frame.loc[turned, "leaves"] = np.where(frame.loc[turned, "leaves"] == "yes", "no", "yes")
    if until > 20:
        # What was told first of the first ten days was wrong.
        frame.loc[:119, "age"] = 33
    if until > 40:
        frame.loc[60:70, "leaves"] = "no"
    frame.iloc[: 12 * until].to_csv(settings.sources["toy"], index=False)


@pytest.fixture
def daily_store(toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]) -> Settings:
    """The toy, ingested every ten days, with corrections among them."""
    for number in range(10, DAYS + 1, 10):
        write_source(toy_settings, toy_source, number)
        run_ingest(toy_settings, "toy", day(number))
    return toy_settings


@pytest.fixture
def bulk_store(toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]) -> Settings:
    """The toy, ingested at once, long afterwards."""
    write_source(toy_settings, toy_source, 15)
    write_source(toy_settings, toy_source, DAYS)
    run_ingest(toy_settings, "toy", day(DAYS + 100))
    return toy_settings


@pytest.fixture
def typed(
    toy_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    line = CommandLine(monkeypatch, capsys)
    sources = json.dumps(toy_settings.sources)
    given = {**environment(toy_settings), "EVERGREEN_SOURCES": sources, "EVERGREEN_THREADS": "1"}
    return lambda *arguments: line.run(*arguments, home=toy_settings.home, **given)


CALENDAR = "window=all,every=2d,on_drift=no,on_realised_drop=no,on_estimated_drop=no,on_growth=0"
OPTIONS = BacktestOptions(
    start=day(30),
    end=day(60),
    every=2 * DAY,
    policies=("declared", CALENDAR),
    beside=("never", "20d", "daily"),
)


def drop_times(document: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs between two runs of it."""
    left_out = ("seconds", "cpu_seconds", "fits_found", "page")
    document = {name: value for name, value in document.items() if name not in left_out}
    document["policies"] = [
        {name: value for name, value in policy.items() if name != "cpu_seconds"}
        for policy in document["policies"]
    ]
    return document


def test_each_day_has_the_training_set_that_it_could_have_had(
    daily_store: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(daily_store)
    history = read_labelled_history(database, build_query(toy_use_case, datetime.now(UTC)))
    for number in (19, 20, 30, 33.5, 40, 44, 50, 60, 75):
        since = day(number - 25) if number > 40 else None
        known = history.table.take(pa.array(history.select_known(day(number), since)))
        expected = read_training_set(database, toy_use_case, day(number), since)
        assert digest_table(known.combine_chunks()) == expected.digest, number
    # Corrections came: the rows differ from what is known in the end.
    assert len(history) > 12 * DAYS


def test_a_backtest_sees_the_change_and_leaves_everything_else_alone(daily_store: Settings) -> None:
    database = get_engine(daily_store)
    before = read_everything(database)
    files = {path.name for path in daily_store.home.parent.iterdir()}
    finished = run_backtest(daily_store, "toy", OPTIONS)
    result = finished.result
    assert read_everything(database) == before
    assert not (daily_store.home.parent / "mlflow.db").exists()
    assert {path.name for path in daily_store.home.parent.iterdir()} == files
    assert result.clock == "ingested"
    assert [policy.name for policy in result.policies] == ["declared", CALENDAR, "never", "20d", "daily"]
    never, daily = result.find_policy("never"), result.find_policy("daily")
    assert never is not None
    assert daily is not None
    assert (never.retrains, daily.retrains, never.gain, daily.gain) == (0, 15, 0.0, 1.0)
    assert daily.value > never.value + 0.02
    assert len(result.find_policy("declared").decisions) == result.checks == 15  # type: ignore[union-attr]
    # Rows come every ten days, so equal training sets follow each other: fitted once, and told.
    calendar = result.find_policy(CALENDAR)
    assert calendar is not None
    assert (calendar.retrains, calendar.fits) == (15, 8)
    # Labels of the last week are not known yet.
    assert sum(result.period_rows) == result.rows == 12 * 23
    assert any("last labelled row is of 2026-02-23" in note for note in result.notes)
    assert "<svg" in finished.page.read_text(encoding="utf-8")
    assert not list(finished.page.parent.glob("rows-*"))


def test_what_becomes_known_later_changes_nothing_before(
    daily_store: Settings, toy_source: Callable[..., pd.DataFrame]
) -> None:
    """Decisions up to day 38 are those of a store that learned nothing after day 40."""
    options = BacktestOptions(
        start=day(30), end=day(38), every=2 * DAY, beside=("never", "daily"), clock="ingested"
    )
    before = run_backtest(daily_store, "toy", options).result
    database = get_engine(daily_store)
    with database.begin() as connection:
        for table in ("toy__facts", "toy__label"):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE ingested_at > '2026-02-10'"))
    after = run_backtest(daily_store, "toy", options).result
    for one, other in zip(before.policies, after.policies, strict=True):
        assert one.decisions == other.decisions
        assert one.retrained_at == other.retrained_at
    assert before.data_digest != after.data_digest


def test_a_history_that_was_loaded_at_once_is_replayed_by_its_event_times(bulk_store: Settings) -> None:
    result = run_backtest(bulk_store, "toy", OPTIONS).result
    assert result.clock == "event"
    assert "ingested long after they happened" in result.notes[0]
    assert result.find_policy("daily").gain == 1.0  # type: ignore[union-attr]
    # A label is known a week after its event time: those of days 0 to 23.
    assert result.first_rows == 12 * 24


def test_an_interrupted_backtest_goes_on_and_comes_to_the_same_result(
    daily_store: Settings, typed: Typed
) -> None:
    command = ["backtest", "toy", "--from", "2026-01-31", "--to", "2026-03-02", "--json"]
    given = {
        "EVERGREEN_HOME": str(daily_store.home),
        "EVERGREEN_SOURCES": json.dumps(daily_store.sources),
        "EVERGREEN_THREADS": "2",
        **environment(daily_store),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "evergreen.cli", *command],
        env={**os.environ, **given},
        cwd=daily_store.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    folder = daily_store.home / "backtests" / "toy"
    deadline = time.monotonic() + 120
    while len(list(folder.glob("fits-*/*.json"))) < 5 and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list(folder.glob("fits-*/*.json")))
    assert kept >= 5
    _await_end_of_workers(process.pid)
    went_on = json.loads(typed(*command).stdout)
    assert went_on["fits_found"] >= 5
    assert not list(folder.glob("rows-*"))
    for path in folder.glob("fits-*"):
        for file in path.iterdir():
            file.unlink()
    anew = json.loads(typed(*command).stdout)
    assert anew["fits_found"] == 0
    assert drop_times(went_on) == drop_times(anew)


def _await_end_of_workers(session: int) -> None:
    """Wait until no process of the killed one's session is left: its workers end by themselves."""
    deadline = time.monotonic() + 60
    while _list_session(session):
        assert time.monotonic() < deadline, "workers outlive the process that started them"
        time.sleep(0.1)


def _list_session(session: int) -> list[int]:
    members = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(path.name)
            state = (path / "stat").read_text().rpartition(")")[2].split()
            if os.getsid(pid) == session and state[0] != "Z":
                members.append(pid)
        except (OSError, IndexError):
            continue
    return members


def test_an_interrupted_backtest_of_another_kind_is_told(daily_store: Settings) -> None:
    quick = BacktestOptions(start=day(30), end=day(34), every=2 * DAY, beside=("never",))
    run_backtest(daily_store, "toy", quick)
    state = daily_store.home / "backtests" / "toy" / "state.json"
    document = json.loads(state.read_text())
    assert document["is_done"] is True
    state.write_text(json.dumps({**document, "is_done": False, "fits_key": "another"}))
    notes = run_backtest(daily_store, "toy", quick).result.notes
    assert any("other parameters or another declaration" in note for note in notes)
    assert run_backtest(daily_store, "toy", quick).fits_found > 0


def test_the_command_prints_the_policies_and_the_line_to_declare(bulk_store: Settings, typed: Typed) -> None:
    done = typed(
        *("backtest", "toy", "--from", "2026-01-21", "--to", "2026-03-02", "--every", "4d"),
        *("--policy", "declared", "--policy", "cooldown=30d", "--beside", "never,daily"),
        *("--parameters", "depth=3"),
    )
    assert done.returncode == 0, done.stderr
    assert "never retrain" in done.stdout
    assert "as declared, but cooldown=30d" in done.stdout
    assert "retrain=RetrainPolicy(" in done.stdout
    assert "depth=3" in done.stdout
    assert "backtests/toy/backtest.html" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--from", "2026-03-01", "--to", "2026-02-01"), 2, "begin on 2026-03-01 and end on 2026-02-01"),
        (("--to", "2999-01-01"), 2, "--to 2999-01-01 is in the future"),
        (("--from", "2019-01-01", "--to", "2026-02-01"), 6, "as of 2019-01-01 toy has 0 labelled rows"),
        (("--from", "2026-04-01", "--to", "2026-05-01"), 5, "no labelled row between"),
        (("--from", "yesterday"), 2, "'yesterday' is not a date"),
        (("--every", "0d"), 2, "'0d' is not a duration"),
        (("--policy", "nevr"), 2, "there is no policy 'nevr'"),
        (("--beside", "7days"), 2, "there is no policy '7days'"),
        (("--parameters", "dept=3"), 2, "'dept' is no parameter"),
        (("--parameters", "depth=deep"), 2, "depth=deep is not a whole number"),
        (("--parameters", "last"), 2, "toy has no training"),
    ],
)
def test_wrong_options_are_told(
    bulk_store: Settings, typed: Typed, options: tuple[str, ...], code: int, message: str
) -> None:
    done = typed("backtest", "toy", *options)
    assert message in done.stderr
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_beginning_without_a_class_says_why(
    toy_settings: Settings, toy_source: Callable[..., pd.DataFrame], typed: Typed
) -> None:
    write_source(toy_settings, toy_source, DAYS)
    frame = pd.read_csv(toy_settings.sources["toy"])
    frame.loc[frame["month"] < "2026-02-10", "leaves"] = "no"
    frame.to_csv(toy_settings.sources["toy"], index=False)
    run_ingest(toy_settings, "toy", day(DAYS + 100))
    done = typed("backtest", "toy", "--from", "2026-01-31")
    assert done.returncode == 6
    assert "as of 2026-01-31 no first model can be fitted" in done.stderr
    assert "no row of class yes" in done.stderr


def test_a_store_without_rows_says_how_to_get_some(toy_settings: Settings, typed: Typed) -> None:
    done = typed("backtest", "toy")
    assert done.returncode == 5
    assert "evergreen run ingest toy" in done.stderr or "ingest first" in done.stderr
