"""The commands of the feature store, as typed, on a real MariaDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from uuid_utils import uuid7

from evergreen.loop import train
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

Typed = Callable[..., Done]


@pytest.fixture
def typed(
    toy_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Runs a command with the toy declared and an empty database."""
    line = CommandLine(monkeypatch, capsys)
    given = {**environment(toy_settings), "EVERGREEN_SOURCES": json.dumps(toy_settings.sources)}
    return lambda *arguments: line.run(*arguments, home=toy_settings.home, **given)


def facts(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def redeclare(settings: Settings, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edit the toy's declaration as its owner would; the process has not read it before."""
    import sys

    path = Path(settings.use_cases) / "toy" / "__init__.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    monkeypatch.delitem(sys.modules, "evergreen_usecases_toy", raising=False)


MOOD = 'Feature("mood", "category", "What the client last said", max_null_share=0.5),'


def test_an_empty_store_has_answers(typed: Typed) -> None:
    assert "no ingest yet" in typed("features", "toy").stdout
    assert facts(typed("features", "--json", "toy"))["views"][0]["rows"] == 0
    assert {change["kind"] for change in facts(typed("features", "diff", "toy", "--json"))} == {
        "create table"
    }
    assert "evergreen run ingest toy" in typed("ingest-runs", "toy").stdout
    assert facts(typed("ingest-runs", "toy", "--json")) == []


def test_counts_are_compared_with_the_log_and_mended(
    typed: Typed, toy_settings: Settings, toy_use_case: UseCase
) -> None:
    assert "no prediction was counted" in typed("counts", "toy").stdout
    database = get_engine(toy_settings)
    apply_migrations(database)
    create_tables(database, toy_use_case)
    profile = FeatureProfile("age", "numeric", (30.0,), (1, 1, 0))
    save_reference_profile(database, "toy", 1, [profile])
    made = [PredictionRow(str(uuid7()), 1, "online", {"age": age}, "yes") for age in (20, 30, 40)]
    insert_predictions(database, toy_use_case, made, PredictionCounter(database, toy_use_case))
    assert "3 rows in 1 hours, counted as they are in the log" in typed("counts", "toy").stdout
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM toy__prediction WHERE age = 40"))
    wrong = typed("counts", "toy", "--json")
    assert wrong.returncode == 1
    assert [each["equal"] for each in json.loads(wrong.stdout)] == [False]
    assert facts(typed("counts", "toy", "--mend", "--json"))[0]["rows"] == 2


def test_an_ingest_is_seen_in_every_listing(
    typed: Typed, toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]
) -> None:
    file = toy_settings.home / "toy.csv"
    toy_source(120).to_csv(file, index=False)
    first = typed("run", "ingest", "toy", "--as-of", "2026-07-01")
    assert first.returncode == 0, first.stderr
    again = facts(typed("run", "ingest", "toy", "--as-of", "2026-07-02", "--json"))
    assert again["unchanged"] is True
    assert again["rows_in"] == again["rows_loaded"] == 0
    told = typed("run", "ingest", "toy", "--as-of", "2026-07-03")
    assert again["said"].split()[0] in told.stdout
    forced = facts(typed("run", "ingest", "toy", "--as-of", "2026-07-02", "--force", "--json"))
    assert forced["rows_in"] == 240
    forced_again = typed("run", "ingest", "toy", "--as-of", "2026-07-05", "--force").stdout
    assert "nothing changed" in forced_again
    assert "facts 0, label 0" in forced_again

    listed = facts(typed("features", "toy", "--json"))
    assert listed["views"][0]["rows"] == 120
    shown = typed("features", "toy").stdout
    assert "120 rows" in shown
    assert "spend_per_visit" in shown

    runs = facts(typed("ingest-runs", "toy", "--json"))
    assert len(runs) == 4
    assert {run["status"] for run in runs} == {"loaded"}
    shown = typed("ingest-runs", "toy").stdout
    assert file.name in shown
    assert all(run["id"][:8] in shown for run in runs)
    assert shown.count("nothing new") == 1
    assert len(facts(typed("ingest-runs", "toy", "--json", "--limit", "1"))) == 1
    one = facts(typed("ingest-runs", "toy", "--json", "--run", runs[-1]["id"]))
    assert one["rows_in"] == 240
    assert one["inputs"]["facts"][0]["digest"]
    shown = typed("ingest-runs", "toy", "--run", runs[-1]["id"][:8]).stdout
    assert str(file) in shown
    assert "toy, facts: 120 rows in, 120 kept" in shown


def test_a_refused_ingest_shows_its_report(
    typed: Typed, toy_settings: Settings, toy_source: Callable[..., pd.DataFrame]
) -> None:
    frame = toy_source(60)
    frame.loc[3, "age"] = 900
    frame.loc[4, "mood"] = "[red]not markup[/red]"
    frame.to_csv(toy_settings.home / "toy.csv", index=False)
    refused = typed("run", "ingest", "toy", "--as-of", "2026-07-01")
    assert refused.returncode == 4
    assert "900" in refused.stderr
    run = facts(typed("ingest-runs", "toy", "--json"))[0]
    assert run["status"] == "failed"
    assert "1 error" in typed("ingest-runs", "toy").stdout
    assert "900" in typed("ingest-runs", "toy", "--run", run["id"]).stdout


def test_rows_in_quarantine_are_shown(
    typed: Typed,
    toy_settings: Settings,
    toy_source: Callable[..., pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = '"What a client did in a month.",'
    redeclare(toy_settings, told, f"{told} contract=Contract(max_rejected_share=0.1),", monkeypatch)
    redeclare(toy_settings, "import (\n", "import (\n    Contract,\n", monkeypatch)
    frame = toy_source(60)
    frame.loc[3, "age"] = 900
    frame.loc[3, "mood"] = "[red]not markup[/red]"
    frame.to_csv(toy_settings.home / "toy.csv", index=False)
    assert typed("run", "ingest", "toy", "--as-of", "2026-07-01").returncode == 0
    run = facts(typed("ingest-runs", "toy", "--json"))[0]
    assert run["rows_rejected"] == 1
    one = facts(typed("ingest-runs", "toy", "--json", "--run", run["id"]))
    assert [(row["part"], row["row"]) for row in one["quarantine"]] == [("facts", 4)]
    shown = typed("ingest-runs", "toy", "--run", run["id"]).stdout
    assert "in quarantine" in shown
    assert "[red]not markup[/red]" in shown.replace("\n", "")


def test_a_run_that_is_not_there_is_told(typed: Typed) -> None:
    done = typed("ingest-runs", "toy", "--run", "no-such-run")
    assert done.returncode == 5
    assert "toy has no ingest run 'no-such-run'" in done.stderr


def test_a_changed_declaration_is_told_refused_and_applied(
    typed: Typed, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(facts(typed("apply", "toy", "--json"))) == 5
    assert "as it declares them" in typed("features", "diff", "toy").stdout
    assert facts(typed("features", "diff", "toy", "--json")) == []
    redeclare(toy_settings, MOOD, 'Feature("weight", "float", "", max_null_share=1),', monkeypatch)
    told = typed("features", "diff", "toy")
    assert told.returncode == 0
    assert "evergreen apply toy --allow-destructive" in told.stdout
    changes = facts(typed("features", "diff", "toy", "--json"))
    assert {(change["column"], change["kind"]) for change in changes} == {("weight", "add"), ("mood", "drop")}
    refused = typed("apply", "toy")
    assert refused.returncode == 5
    assert "column mood" in refused.stderr
    assert facts(typed("features", "diff", "toy", "--json")) == changes
    assert facts(typed("apply", "toy", "--allow-destructive", "--json")) == changes
    assert "nothing to do" in typed("apply", "toy").stdout
    with get_engine(toy_settings).connect() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("toy__facts")}
    assert {"weight", "_retired_1_mood"} <= columns


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('Key("client_id", "int"', 'Key("client_id", "text"', "A key cannot be changed (client_id)"),
        ('"leaves",', '"left",', "without a value in left: then"),
    ],
)
def test_diff_promises_nothing_that_apply_refuses(
    typed: Typed, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch, old: str, new: str, hint: str
) -> None:
    assert typed("apply", "toy").returncode == 0
    redeclare(toy_settings, old, new, monkeypatch)
    assert hint in typed("features", "diff", "toy").stdout


def test_a_training_set_is_shown_and_made_again_after_everything_changed(
    typed: Typed,
    toy_settings: Settings,
    toy_source: Callable[..., pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Corrected, deleted, a feature dropped and another retyped: the very same rows; then without history."""
    file = toy_settings.home / "toy.csv"
    toy_source(300).to_csv(file, index=False)
    assert typed("run", "ingest", "toy", "--as-of", "2026-07-01").returncode == 0
    run = train.prepare_training_set(toy_settings, "toy", datetime(2026, 7, 1, tzinfo=UTC))["training_run"]
    shown = facts(typed("dataset", "show", run, "--json"))
    assert shown["query"]["views"][0]["table"] == "toy__facts"
    assert shown["digest"] in typed("dataset", "show", run).stdout

    toy_source(300, seed=2).to_csv(file, index=False)
    assert typed("run", "ingest", "toy", "--as-of", "2026-07-01").returncode == 0
    with get_engine(toy_settings).begin() as connection:
        connection.exec_driver_sql("DELETE FROM toy__label WHERE client_id < 10")
    redeclare(toy_settings, MOOD, "", monkeypatch)
    redeclare(toy_settings, 'Feature("visits", "int"', 'Feature("visits", "float"', monkeypatch)
    assert typed("apply", "toy", "--allow-destructive").returncode == 0
    made = facts(typed("dataset", "reproduce", run, "--json"))
    assert made["same"], made["reason"]
    assert made["rebuilt_digest"] == made["digest"] == shown["digest"]
    assert made["rebuilt_rows"] == shown["rows"] > 0
    assert typed("dataset", "reproduce", run).returncode == 0

    with get_engine(toy_settings).begin() as connection:
        connection.exec_driver_sql("DELETE HISTORY FROM toy__label")
    lost = typed("dataset", "reproduce", run, "--json")
    assert lost.returncode == 5
    assert json.loads(lost.stdout)["same"] is False
    assert json.loads(lost.stdout)["reason"] in typed("dataset", "reproduce", run).stdout.replace("\n", "")


def test_an_unknown_training_run_is_told(typed: Typed) -> None:
    for verb in ("show", "reproduce"):
        done = typed("dataset", verb, "no-such-run")
        assert done.returncode == 5
        assert "no training run 'no-such-run'" in done.stderr
