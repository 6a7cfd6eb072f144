"""An ingest that was killed is told from one that is at work, and two at the same one from each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pandas as pd
import pytest

from evergreen.errors import StoreError
from evergreen.loop import ingest
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.summary import summarize_store
from evergreen.usecase import UseCase
from support.command_line import CommandLine, Done, environment

JULY = datetime(2026, 7, 1, tzinfo=UTC)
# An ingest that has begun and reads for as long as the test wants.
AT_WORK = f"""
import time
from datetime import datetime
from evergreen.ingest.run_record import open_ingest
from evergreen.settings import load_settings
with open_ingest(load_settings(), "toy", datetime.fromisoformat("{JULY.isoformat()}"), "", False):
    print("at work", flush=True)
    time.sleep(600)
"""

Typed = Callable[..., Done]


@pytest.fixture
def settings_with_rows(toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]) -> Settings:
    toy_source(120).to_csv(toy_settings.home / "toy.csv", index=False)
    return toy_settings


@pytest.fixture
def typed(
    settings_with_rows: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    line = CommandLine(monkeypatch, capsys)
    home = settings_with_rows.home
    return lambda *arguments: line.run(*arguments, home=home, **given(settings_with_rows))


def given(settings: Settings) -> dict[str, str]:
    return {**environment(settings), "EVERGREEN_SOURCES": json.dumps(settings.sources)}


@contextmanager
def at_work(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK],
        env={**os.environ, "EVERGREEN_HOME": str(settings.home), **given(settings)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_killed_ingest_is_shown_as_interrupted_and_one_at_work_is_not(
    typed: Typed, settings_with_rows: Settings, toy_use_case: UseCase
) -> None:
    with at_work(settings_with_rows) as process:
        [run] = json.loads(typed("ingest-runs", "toy", "--json").stdout)
        assert run["status"] == "extracting"
        assert "interrupted" not in typed("ingest-runs", "toy").stdout
        process.send_signal(signal.SIGKILL)
        process.wait()
    [run] = json.loads(typed("ingest-runs", "toy", "--json").stdout)
    assert run["status"] == "interrupted"
    command = "evergreen run ingest toy --as-of 2026-07-01T00:00:00+00:00"
    for shown in (typed("ingest-runs", "toy"), typed("ingest-runs", "toy", "--run", run["id"])):
        assert f"interrupted, nothing was loaded. Run it again: {command}" in " ".join(shown.stdout.split())
    assert (
        summarize_store(get_engine(settings_with_rows), toy_use_case).to_json()["last_ingest"]["status"]
        == "interrupted"
    )
    again = typed(*command.split()[1:])
    assert again.returncode == 0, again.stderr
    [run] = json.loads(typed("ingest-runs", "toy", "--json").stdout)
    assert (run["status"], run["rows_loaded"]) == ("loaded", 240)


@pytest.mark.parametrize("step", [ingest.extract_source_rows, ingest.run_ingest])
def test_a_second_process_at_the_same_ingest_is_told_so(
    settings_with_rows: Settings, monkeypatch: pytest.MonkeyPatch, step: Callable[..., object]
) -> None:
    monkeypatch.setattr(
        "evergreen.store.records.ingest_lock.hold_ingest_lock.__wrapped__.__defaults__", (0.1,)
    )
    with at_work(settings_with_rows):
        with pytest.raises(StoreError, match="another process is at work on this very ingest of toy") as told:
            step(settings_with_rows, "toy", JULY)
        assert "evergreen ingest-runs toy" in told.value.hint
        other = ingest.run_ingest(settings_with_rows, "toy", datetime(2026, 7, 2, tzinfo=UTC))
        assert other["rows_loaded"] == 240
    # Nothing was spoiled by the one that was refused.
    assert ingest.run_ingest(settings_with_rows, "toy", JULY)["rows_in"] == 240
