"""What the exporter reads of a real MariaDB, and that it reads no log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from evergreen.errors import StoreUnreachable
from evergreen.exporter.champions_reader import ChampionsReader
from evergreen.exporter.samples import Samples
from evergreen.exporter.store_readers import RecordsReader, TablesReader, compute_age_limit
from evergreen.registry.ledger import append_entry
from evergreen.settings import Settings
from evergreen.stack.processes.ports import find_free_port
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import ModelTrial, insert_trial
from evergreen.usecase import TrialLimits, UseCase
from support.checked_toy import CHECKED, JULY, log_prediction, save_check
from support.toy_loads import load

Values = dict[tuple[str, ...], float]


def collect(reader: RecordsReader | TablesReader | ChampionsReader) -> Values:
    """The values of the use case `toy`, without its name, by metric and labels."""
    samples = Samples()
    reader(samples)
    assert samples.troubles == []
    return {(name, *labels[1:]): value for name, labels, value in samples.values if labels[:1] == ("toy",)}


def test_an_empty_database_has_no_values_and_no_trouble(toy_settings: Settings) -> None:
    # No table at all, as before the first migration.
    assert collect(RecordsReader(toy_settings))["evergreen_declaration_valid",] == 1
    assert collect(TablesReader(toy_settings))["evergreen_label_rows",] == 0


def test_rows_and_their_newest_moments(toy_store: Settings, toy_use_case: UseCase) -> None:
    values = collect(TablesReader(toy_store))
    assert values["evergreen_feature_rows", "facts"] == 600
    assert values["evergreen_online_keys", "facts"] == 100
    assert values["evergreen_label_rows",] == 600
    june = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    assert values["evergreen_newest_row_timestamp_seconds", "facts"] == june
    assert values["evergreen_newest_row_timestamp_seconds", "label"] == june
    for name, part in toy_use_case.parts.items():
        limit = compute_age_limit(part)
        published = values.get(("evergreen_newest_row_limit_seconds", name))
        assert published == (limit.total_seconds() if limit else None)


def test_tables_are_counted_again_only_after_a_load(
    toy_store: Settings, toy_use_case: UseCase, toy_frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def keep(_conn, _cursor, statement, _parameters, _context, _many) -> None:
        statements.append(statement)

    reader = TablesReader(toy_store)
    collect(reader)
    engine = get_engine(toy_store)
    sa.event.listen(engine, "before_cursor_execute", keep)
    try:
        collect(reader)
        assert not any("count(" in statement for statement in statements)
        load(engine, toy_use_case, JULY + timedelta(days=1), toy_frames(60, seed=2, start="2026-02-01"))
        statements.clear()
        assert collect(reader)["evergreen_label_rows",] > 600
        assert any("count(" in statement for statement in statements)
    finally:
        sa.event.remove(engine, "before_cursor_execute", keep)


def test_the_newest_check_and_decision(toy_store: Settings) -> None:
    save_check(toy_store)
    values = collect(RecordsReader(toy_store))
    moment = CHECKED.timestamp()
    assert values["evergreen_check_timestamp_seconds",] == moment
    severities = {key[1]: value for key, value in values.items() if key[0] == "evergreen_check_severity"}
    assert severities == {"none": 0, "unknown": 0, "warning": 0, "drift": 1}
    assert values["evergreen_check_rows",] == 500
    assert values["evergreen_drift_value", "visits", "psi"] == 0.4
    assert values["evergreen_drift_limit", "visits", "psi"] == 0.25
    assert values["evergreen_drift_value", "", "drifted_features"] == 1
    assert values["evergreen_drift_value", "visits", "refused_share"] == 0.02
    assert not any("left_long_ago" in key for key in values)
    drifted = {key[1]: value for key, value in values.items() if key[0] == "evergreen_drift_severity"}
    assert (drifted["visits"], drifted["spend"], drifted["age"]) == (2, 1, 0)
    assert values["evergreen_quality", "realised", "accuracy"] == 0.8
    assert values["evergreen_quality", "estimated", "accuracy"] == 0.81
    assert values["evergreen_quality_low", "estimated", "accuracy"] == 0.79
    assert values["evergreen_quality_high", "estimated", "accuracy"] == 0.83
    assert values["evergreen_quality_reference", "estimated", "accuracy"] == 0.9
    assert values["evergreen_quality_rows", "realised"] == 120
    assert values["evergreen_quality_rows", "estimated"] == 500
    assert values["evergreen_health_severity", "freshness"] == 2
    assert values["evergreen_health_severity", "skew"] == -1
    assert values["evergreen_decision_retrain",] == 1
    assert values["evergreen_decision_timestamp_seconds",] == moment


def test_champion_trial_loads_and_log(toy_store: Settings, toy_use_case: UseCase) -> None:
    engine = get_engine(toy_store)
    before = collect(RecordsReader(toy_store))
    assert before["evergreen_trial_running",] == before["evergreen_last_ingest_failed",] == 0
    assert before["evergreen_approval_waiting_version",] == 0
    assert before["evergreen_last_load_timestamp_seconds",] == JULY.timestamp()
    assert not any("prediction" in key[0] for key in before)
    assert collect(ChampionsReader(toy_store)) == {("evergreen_champion_version",): 0}

    entry = append_entry(
        engine,
        use_case_name="toy",
        action="promote",
        from_version=None,
        to_version=2,
        training_run_id="t1",
        actor="a test",
        reason="it is better",
    )
    started = datetime.now(UTC)
    trial = ModelTrial(
        *("t1", "toy", "canary", 2, 3, "run3", 0.1, TrialLimits()),
        started_at=started,
        ends_at=started + timedelta(days=1),
        started_by="a test",
    )
    insert_trial(engine, trial)
    log_prediction(toy_store, toy_use_case)
    newest = log_prediction(toy_store, toy_use_case)
    log_prediction(toy_store, toy_use_case, "batch")
    values = collect(RecordsReader(toy_store))
    assert values["evergreen_champion_since_timestamp_seconds",] == entry.since.timestamp()
    assert values["evergreen_trial_running",] == 1
    assert values["evergreen_trial_end_timestamp_seconds",] == pytest.approx(trial.ends_at.timestamp())
    assert values["evergreen_log_rows", "online"] == 2
    assert values["evergreen_log_rows", "batch"] == 1
    moment = values["evergreen_newest_prediction_timestamp_seconds",]
    assert moment == pytest.approx(newest.timestamp(), abs=0.01)


def test_no_statement_reads_more_than_an_end_of_the_log(toy_store: Settings, toy_use_case: UseCase) -> None:
    for _ in range(60):
        log_prediction(toy_store, toy_use_case)
    engine = get_engine(toy_store)
    statements: list[tuple[str, object]] = []

    def keep(_conn, _cursor, statement, parameters, _context, _many) -> None:
        if toy_use_case.prediction_table in statement:
            statements.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    try:
        collect(RecordsReader(toy_store))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", keep)
    assert len(statements) == 2
    with engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"ANALYZE FORMAT=JSON {statement}", parameters).scalar_one()
            assert '"key": "by_channel"' in plan
            assert max(_list_row_counts(json.loads(plan))) <= 1


def test_a_server_that_is_away_ends_the_collection(settings: Settings) -> None:
    away = settings.model_copy(
        update={"mariadb_socket": None, "mariadb_host": "127.0.0.1", "mariadb_port": find_free_port()}
    )
    with pytest.raises(StoreUnreachable):
        RecordsReader(away)(Samples())


def _list_row_counts(plan: object) -> list[float]:
    """Every `r_rows` of a plan: rows that were really read."""
    if isinstance(plan, dict):
        own = [plan["r_rows"]] if plan.get("r_rows") is not None else []
        return own + [count for part in plan.values() for count in _list_row_counts(part)]
    if isinstance(plan, list):
        return [count for part in plan for count in _list_row_counts(part)]
    return []
