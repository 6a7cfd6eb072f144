"""The verb ingest from source to store: intervals, reruns, and bad input that loads nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import (
    EvergreenError,
    SchemaMismatch,
    SourceUnreachable,
    SourceUnreadable,
    StoreError,
    StoreUnreachable,
    UnknownUseCase,
    ValidationFailed,
)
from evergreen.ingest import staging
from evergreen.loop import ingest
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.settings import Settings
from evergreen.store.connection.database import build_database_url, get_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records.ingest_run import get_ingest
from evergreen.store.records.summary import summarize_store
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

Source = Callable[..., pd.DataFrame]
APRIL = datetime(2026, 4, 3, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def csv(toy_settings: Settings, toy_source: Source) -> Path:
    path = Path(toy_settings.sources["toy"])
    toy_source(120).to_csv(path, index=False)
    return path


def rows(settings: Settings, use_case: UseCase) -> tuple[int, int, int]:
    found = summarize_store(get_engine(settings), use_case).to_json()
    return found["views"]["facts"]["rows"], found["views"]["facts"]["keys"], found["label"]["rows"]


def test_a_file_becomes_a_training_set_by_three_tasks(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    extracted = ingest.extract_source_rows(toy_settings, "toy", JULY)
    assert extracted["rows"] == {"facts": 120, "label": 120}
    validated = ingest.validate_staged_rows(toy_settings, extracted["ingest_run"])
    assert validated["rows"] == {"facts": 120, "label": 120}
    assert rows(toy_settings, toy_use_case) == (0, 0, 0)
    loaded = ingest.load_clean_rows(toy_settings, extracted["ingest_run"])
    assert json.loads(json.dumps(loaded)) == {
        "ingest_run": extracted["ingest_run"],
        "use_case": "toy",
        "as_of": "2026-07-01T00:00:00+00:00",
        "rows_in": 240,
        "rows_loaded": 240,
        "loaded": {"facts": 120, "label": 120},
        "rejected": 0,
        "held_back": 0,
    }
    assert rows(toy_settings, toy_use_case) == (120, 20, 120)
    run = get_ingest(get_engine(toy_settings), extracted["ingest_run"])
    assert (run.status, run.rows_rejected, run.finished_at is not None) == ("loaded", 0, True)
    assert run.report["facts"]["kept"] == 120
    assert len(read_training_set(get_engine(toy_settings), toy_use_case, JULY).frame) == 120


def test_every_task_may_run_twice(toy_settings: Settings, toy_use_case: UseCase, csv: Path) -> None:
    run = ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"]
    assert ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"] == run
    assert ingest.validate_staged_rows(toy_settings, run) == ingest.validate_staged_rows(toy_settings, run)
    first = ingest.load_clean_rows(toy_settings, run)
    again = ingest.load_clean_rows(toy_settings, run)
    assert again == {**first, "loaded": {}}
    assert ingest.validate_staged_rows(toy_settings, run)["rejected"] == 0
    before = read_training_set(get_engine(toy_settings), toy_use_case, JULY).digest
    assert ingest.run_ingest(toy_settings, "toy", JULY, force=True)["rows_loaded"] == first["rows_loaded"]
    assert read_training_set(get_engine(toy_settings), toy_use_case, JULY).digest == before
    assert rows(toy_settings, toy_use_case) == (120, 20, 120)
    with get_engine(toy_settings).connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM ingest_batch")).scalar_one() == 0


def test_a_backfill_takes_only_what_was_true_and_known_by_then(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    early = ingest.run_ingest(toy_settings, "toy", APRIL)
    # Months up to April are true; April's label is known a week later.
    assert early["loaded"] == {"facts": 80, "label": 60}
    assert (early["rejected"], early["held_back"]) == (0, 100)
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"] == {"facts": 40, "label": 60}
    assert len(read_training_set(get_engine(toy_settings), toy_use_case, APRIL).frame) == 60
    assert len(read_training_set(get_engine(toy_settings), toy_use_case, JULY).frame) == 120


def test_the_order_of_backfills_does_not_matter(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    digests = []
    for moments in ([APRIL, JULY], [JULY, APRIL]):
        for as_of in moments:
            ingest.run_ingest(toy_settings, "toy", as_of)
        found = [
            read_training_set(get_engine(toy_settings), toy_use_case, as_of).digest for as_of in (APRIL, JULY)
        ]
        digests.append(found)
        with get_engine(toy_settings).begin() as connection:
            for table in ("toy__facts", "toy__facts__online", "toy__label"):
                connection.exec_driver_sql(
                    f"TRUNCATE TABLE {table}" if "online" in table else f"DELETE FROM {table}"
                )
            connection.exec_driver_sql("DELETE FROM ingest_run")
    assert digests[0] == digests[1]


def test_another_file_takes_the_place_of_the_declared_one(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path, toy_source: Source, tmp_path: Path
) -> None:
    other = tmp_path / "other.parquet"
    toy_source(60, seed=2).to_parquet(other)
    told = ingest.run_ingest(toy_settings, "toy", JULY, source=str(other))
    assert told["rows_loaded"] == 120
    assert told["ingest_run"] != ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"]


def broken(content: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content(pd.read_csv(path, dtype=str)).to_csv(path, index=False)

    return write


def with_age(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(age=frame["age"].where(frame.index != 3, "old"))


def with_a_duplicate(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[3]].assign(age="99")])


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (
            broken(lambda f: f.rename(columns={"age": "Age"})),
            ValidationFailed,
            ["age", "did you mean 'Age'?"],
        ),
        (broken(with_age), ValidationFailed, ["age", "is not a number", "'old'"]),
        (broken(with_a_duplicate), ValidationFailed, ["duplicate key", "client_id, event_time"]),
        (broken(lambda f: f.iloc[:0]), SourceUnreadable, ["no rows"]),
        (lambda path: path.write_bytes(b""), SourceUnreadable, ["is empty"]),
        (
            lambda path: path.write_bytes("a,b\n1,\xfc\n".encode("latin-1")),
            SourceUnreadable,
            ["not utf-8", "line 2"],
        ),
        (lambda path: path.write_bytes(b"a,b\n1,2,3\n"), SourceUnreadable, ["row 2 has 3 fields"]),
        (lambda path: path.unlink(), SourceUnreachable, ["there is no file"]),
        (lambda path: (path.unlink(), path.mkdir()), SourceUnreadable, ["is a folder"]),
    ],
)
def test_bad_input_is_told_and_loads_nothing(
    toy_settings: Settings,
    toy_use_case: UseCase,
    csv: Path,
    spoil: Callable[[Path], Any],
    error: type[EvergreenError],
    words: list[str],
) -> None:
    sound = csv.read_bytes()
    ingest.run_ingest(toy_settings, "toy", APRIL)
    before = rows(toy_settings, toy_use_case)
    spoil(csv)
    with pytest.raises(error) as raised:
        ingest.run_ingest(toy_settings, "toy", JULY)
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert raised.value.hint
    assert raised.value.exit_code != 0
    assert len(str(raised.value)) < 3000
    assert rows(toy_settings, toy_use_case) == before
    last = summarize_store(get_engine(toy_settings), toy_use_case).to_json()["last_ingest"]
    assert (last["as_of"], last["status"]) == (JULY.isoformat(), "failed")
    with get_engine(toy_settings).connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM ingest_batch")).scalar_one() == 0
    # Mended, the same run goes through.
    if csv.is_dir():
        csv.rmdir()
    csv.write_bytes(sound)
    assert ingest.run_ingest(toy_settings, "toy", JULY)["rows_loaded"] > 0


def test_a_part_that_fails_keeps_the_sound_parts_out(
    toy_settings: Settings, toy_use_case: UseCase, csv: Path
) -> None:
    frame = pd.read_csv(csv, dtype=str)
    frame.loc[2, "leaves"] = "maybe"
    frame.to_csv(csv, index=False)
    with pytest.raises(ValidationFailed, match="label"):
        ingest.run_ingest(toy_settings, "toy", JULY)
    assert rows(toy_settings, toy_use_case) == (0, 0, 0)


def test_steps_out_of_order_say_so(toy_settings: Settings, csv: Path) -> None:
    run = ingest.extract_source_rows(toy_settings, "toy", JULY)["ingest_run"]
    with pytest.raises(StoreError, match="is extracted, not validated"):
        ingest.load_clean_rows(toy_settings, run)
    with get_engine(toy_settings).begin() as connection:
        staging.drop_staged_rows(connection, run)
    with pytest.raises(StoreError, match="no staged rows of facts"):
        ingest.validate_staged_rows(toy_settings, run)
    with pytest.raises(StoreError, match="no ingest run 'nonsense'"):
        ingest.validate_staged_rows(toy_settings, "nonsense")


def test_unknown_use_cases_unreachable_stores_and_changed_tables(toy_settings: Settings, csv: Path) -> None:
    with pytest.raises(UnknownUseCase, match="'toi'"):
        ingest.run_ingest(toy_settings, "toi", JULY)
    with pytest.raises(StoreUnreachable):
        ingest.run_ingest(
            toy_settings.model_copy(update={"mariadb_socket": None, "mariadb_port": 1}), "toy", JULY
        )
    ingest.run_ingest(toy_settings, "toy", JULY)
    with get_engine(toy_settings).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE toy__facts__online MODIFY age DOUBLE")
    with pytest.raises(SchemaMismatch, match="toy__facts__online, column age"):
        ingest.run_ingest(toy_settings, "toy", JULY)


def test_a_database_is_asked_for_what_is_new_and_late(
    toy_settings: Settings, mariadb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source in its own schema: each run reads what was RECORDED since the last loaded run."""
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    declaration = Path(toy_settings.use_cases) / "toy" / "__init__.py"
    query = "SELECT * FROM source_fact WHERE recorded_at > :start AND recorded_at <= :end"
    text = declaration.read_text().replace('FileSource("toy.csv")', f'SqlSource("shop", "{query}")')
    declaration.write_text(text.replace("    FileSource,", "    SqlSource,"))
    where = build_database_url(toy_settings.model_copy(update={"mariadb_socket": None}))
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP",
        f"mysql://{where.username}:{where.password}@{where.host}:{where.port}/{where.database}",
    )
    use_case = load_use_case("toy", toy_settings)
    database = get_engine(toy_settings)
    with database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE source_fact (client_id INT, month DATETIME, age INT, visits INT,"
            " spend DECIMAL(9,2),"
            " segment VARCHAR(9), mood VARCHAR(9), leaves VARCHAR(3), recorded_at DATETIME)"
        )

    def record(client: int, month: str, age: int, recorded_at: str) -> None:
        with database.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO source_fact VALUES (:c, :m, :a, 2, 10.50, 'web', NULL, 'no', :r)"),
                {"c": client, "m": month, "a": age, "r": recorded_at},
            )

    record(1, "2026-02-01", 30, "2026-02-02")
    record(2, "2026-03-01", 40, "2026-03-02")
    record(1, "2026-05-01", 31, "2026-05-02")
    assert ingest.run_ingest(toy_settings, "toy", APRIL)["loaded"] == {"facts": 2, "label": 2}
    record(3, "2026-01-01", 50, "2026-06-01")  # late: long true, just recorded
    record(2, "2026-03-01", 41, "2026-06-02")  # a correction
    second = ingest.run_ingest(toy_settings, "toy", JULY)
    assert second["loaded"] == {"facts": 3, "label": 2}
    assert get_ingest(database, second["ingest_run"]).interval_start == APRIL
    assert ingest.run_ingest(toy_settings, "toy", JULY)["loaded"] == second["loaded"]
    nothing = ingest.run_ingest(toy_settings, "toy", JULY + timedelta(days=1))
    assert (nothing["rows_in"], nothing["rows_loaded"]) == (0, 0)
    assert read_training_set(database, use_case, APRIL).frame["age"].tolist() == [30.0, 40.0]
    assert read_training_set(database, use_case, JULY).frame["age"].tolist() == [50.0, 30.0, 41.0, 31.0]
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "mysql://u:p@127.0.0.1:1/x")
    with pytest.raises(SourceUnreachable):
        ingest.run_ingest(toy_settings, "toy", JULY + timedelta(days=2))
    # The failed run is no loaded run: the next one reads its interval as well.
    assert summarize_store(database, use_case).to_json()["last_ingest"]["status"] == "failed"


def test_the_real_titanic_file(settings: Settings, titanic_csv: Path) -> None:
    told = ingest.run_ingest(settings, "titanic", JULY, source=str(titanic_csv))
    assert told["loaded"] == {"passenger": 891, "label": 891}
    use_case = load_use_case("titanic", settings)
    found = read_training_set(get_engine(settings), use_case, JULY, since=APRIL)
    columns = add_on_demand_columns(use_case, build_columns_from_frame(found.frame, use_case))
    assert len(found.frame) == 891
    assert found.frame["survived"].value_counts().to_dict() == {"0": 549, "1": 342}
    assert sum(value is None for value in columns["cabin"]) == 687
