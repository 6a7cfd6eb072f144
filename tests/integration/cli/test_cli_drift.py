"""The command `evergreen drift`, as typed, on a real MariaDB."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.model.prediction_counter import PredictionCounter
from evergreen.model.reference_profile import FeatureProfile, save_reference_profile
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables.create import create_tables
from evergreen.usecase import UseCase
from support.command_line import CommandLine, Done, environment

START = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = ("--from", "2026-07-01T01:00", "--to", "2026-07-01T02:00")


@pytest.fixture
def typed(
    toy_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Runs a command with the toy declared and an empty database."""
    line = CommandLine(monkeypatch, capsys)
    variables = {**environment(toy_settings), "EVERGREEN_SOURCES": json.dumps(toy_settings.sources)}
    return lambda *arguments: line.run(*arguments, home=toy_settings.home, **variables)


def make_row(number: int, at: datetime, age: float) -> PredictionRow:
    milliseconds = int(at.timestamp() * 1000)
    made = str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | number))
    return PredictionRow(made, 1, "online", {"client_id": number, "age": age, "segment": "web"}, "yes")


def test_drift_of_any_window_is_shown_and_may_fail_a_job(
    typed: Callable[..., Done], toy_settings: Settings, toy_use_case: UseCase
) -> None:
    database = get_engine(toy_settings)
    apply_migrations(database)
    create_tables(database, toy_use_case)
    save_reference_profile(database, "toy", 1, [FeatureProfile("age", "numeric", (30.0,), (500, 500, 0))])
    rows = [make_row(n, START + HOUR / 2, 20 + n % 20) for n in range(600)]
    rows += [make_row(n, START + 3 * HOUR / 2, 35 + n % 20) for n in range(600)]
    insert_predictions(database, toy_use_case, rows, PredictionCounter(database, toy_use_case))

    shown = typed("drift", "toy", "--version", "1", *WINDOW)
    assert (shown.returncode, shown.stderr) == (0, "")
    for text in (
        "1 of 6 features drifted, 5 cannot be told",
        "the reference profile of version 1 (1,000 training rows)",
        "age",
    ):
        assert text in shown.stdout
    failed = typed("drift", "toy", "--version", "1", *WINDOW, "--fail-on", "drift", "--json")
    facts = json.loads(failed.stdout)
    assert failed.returncode == 1
    assert (facts["severity"], facts["window"]["rows"], facts["reference"]["rows"]) == ("drift", 600, 1_000)
    assert facts["features"][0]["feature"] == "age"
    assert facts["since"] == "2026-07-01T01:00:00+00:00"
    against = ("--against-from", "2026-07-01", "--slice", "segment")
    other = json.loads(typed("drift", "toy", "--version", "1", *WINDOW, *against, "--json").stdout)
    assert (other["reference"]["rows"], other["reference"]["end"]) == (600, "2026-07-01T01:00:00+00:00")
    assert [(each["slice"], each["rows"], each["reference_rows"]) for each in other["slices"]] == [
        ("segment=web", 600, 600)
    ]
    still = typed("drift", "toy", "--version", "1", "--to", "2026-07-01T01:00", "--fail-on", "drift")
    assert (still.returncode, "none" in still.stdout) == (0, True)

    reversed_window = typed("drift", "toy", "--version", "1", "--from", "2026-07-02", "--to", "2026-07-01")
    assert (reversed_window.returncode, "which is not later" in reversed_window.stderr) == (2, True)
    empty = typed("drift", "toy", "--version", "1", "--to", "2026-06-01")
    assert empty.returncode == 5
    assert "has no predictions" in empty.stderr
    assert "version 1 has 1,200 (online)" in empty.stderr
