"""A dropped use case is gone from the store, stays in the ledger, and comes back from the backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from evergreen.errors import BackupError, StackError, UnknownUseCase
from evergreen.registry import ledger
from evergreen.settings import Settings
from evergreen.stack.backup import drop
from evergreen.stack.backup.restore import restore_backup
from support.mlflow_stand_in import MlflowStandIn
from support.stack_home import StackHome, read_all_versions, read_sqlite

ALIASES = "SELECT alias FROM registered_model_aliases"
VERSIONS = "SELECT version FROM model_versions WHERE current_stage != 'Deleted_Internal'"


@pytest.fixture
def stack(home: StackHome, use_cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackHome:
    """A copy of the stopped stack, beside whose toy there are tables of others."""
    declarations = tmp_path / "usecases"
    shutil.copytree(use_cases, declarations)
    monkeypatch.setenv("EVERGREEN_USE_CASES", str(declarations))
    copy = StackHome(tmp_path / "home", declarations)
    shutil.copytree(home.folder, copy.folder, ignore=shutil.ignore_patterns("*.sock"))
    (copy.folder / "demo-toy.json").write_text("{}")
    with copy.running_mariadb() as engine, engine.begin() as connection:
        # Of a view that is no longer declared; of another use case; and of one whose name begins alike.
        for table in ("toy__former_view", "toys__label", "toy__b__label"):
            connection.exec_driver_sql(f"CREATE TABLE {table} (n INT)")
        connection.exec_driver_sql(
            "INSERT INTO training_run (id, use_case, as_of, reason, status, started_at)"
            " VALUES ('b', 'toy__b', UTC_TIMESTAMP(), '', 'promoted', UTC_TIMESTAMP())"
        )
    return copy


def read_tables(engine: sa.Engine) -> set[str]:
    return {name for name in sa.inspect(engine).get_table_names() if name.startswith("toy")}


@pytest.mark.parametrize("is_declared", [True, False])
def test_tables_and_records_go_the_ledger_stays_and_the_backup_has_everything(
    stack: StackHome, is_declared: bool, tmp_path: Path
) -> None:
    if not is_declared:
        shutil.rmtree(stack.use_cases / "toy")
    with stack.running_mariadb() as engine:
        before = read_all_versions(engine)
        lines = ledger.read_entries(engine, "toy")
    dropped = drop.drop_use_case(stack.folder, "toy")
    assert (dropped.plan.champion, dropped.plan.versions) == (2, (1, 2))
    assert dropped.plan.declaration == (str(stack.use_cases / "toy") if is_declared else None)
    assert "toy__former_view" in dropped.plan.tables
    with stack.running_mariadb() as engine:
        assert read_tables(engine) == {"toys__label", "toy__b__label"}
        after = read_all_versions(engine)
        last, *others = ledger.read_entries(engine, "toy")
    assert others == lines
    assert (last.action, last.from_version, last.to_version) == ("erase", 2, None)
    assert last.reason == "evergreen drop: its tables were dropped, its models archived"
    rows = [row for name, rows in after.items() if name.startswith("evergreen.") for row in rows]
    assert not any("'toy'" in row for row in rows)
    assert any("'toy__b'" in row for row in rows)
    mlflow = stack.folder / "mlflow" / "mlflow.db"
    assert read_sqlite(mlflow, ALIASES) == []
    assert read_sqlite(mlflow, VERSIONS) == [(1,), (2,)]
    assert not (stack.folder / "predictions" / "toy-1ab").exists()
    assert not (stack.folder / "demo-toy.json").exists()
    assert dropped.backup is not None
    if not is_declared:
        return
    # What was dropped comes back.
    restore_backup(dropped.backup.folder, stack.folder, replace=True)
    with stack.running_mariadb() as engine:
        assert read_all_versions(engine) == before
    assert read_sqlite(mlflow, ALIASES) == [("champion",)]
    with pytest.raises(UnknownUseCase, match="nothing of a use case 'tou'") as unknown:
        drop.plan_drop(stack.folder, "tou")
    assert unknown.value.hint == "did you mean toy?"


def test_models_are_deleted_by_wish_and_nothing_is_left_to_drop(stack: StackHome) -> None:
    shutil.rmtree(stack.use_cases / "toy")
    dropped = drop.drop_use_case(stack.folder, "toy", models="delete", without_backup=True)
    assert dropped.backup is None
    assert read_sqlite(stack.folder / "mlflow" / "mlflow.db", VERSIONS) == []
    with pytest.raises(UnknownUseCase):
        drop.drop_use_case(stack.folder, "toy")


def test_a_failed_backup_drops_nothing(stack: StackHome) -> None:
    with pytest.raises(BackupError):
        drop.drop_use_case(stack.folder, "toy", backups=stack.folder / "within")
    with stack.running_mariadb() as engine:
        assert "toy__facts" in read_tables(engine)


class _BusyAirflow:
    def __init__(self, settings: Settings) -> None:
        pass

    def list_active_dags(self, prefix: str) -> set[str]:
        return {f"{prefix}train"}

    def close(self) -> None:
        pass


def test_a_running_stack_is_left_alone_while_a_service_answers_or_a_dag_runs(
    stack: StackHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = stack.settings.mlflow_tracking_uri
    monkeypatch.setenv("EVERGREEN_MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(drop, "AirflowApi", _BusyAirflow)
    with stack.locked_stack(), stack.running_mariadb() as engine:
        with pytest.raises(StackError, match="runs of toy__train have not ended"):
            drop.drop_use_case(stack.folder, "toy")
        service = MlflowStandIn()
        monkeypatch.setenv("EVERGREEN_SERVICE_URLS", f'{{"toy": "{service.uri}"}}')
        with service.answering(), pytest.raises(StackError, match="the service of toy is up"):
            drop.drop_use_case(stack.folder, "toy")
        assert "toy__facts" in read_tables(engine)
