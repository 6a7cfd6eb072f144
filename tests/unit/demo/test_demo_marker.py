"""What a demo may erase: the moments that its marker names, and what the platform did by itself since."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.demo.fresh import TourMarker, find_runs_by_hand
from evergreen.settings import Settings
from evergreen.store.tables.forget import PastRun
from evergreen.usecases import load_use_case

MIDNIGHT = datetime(2026, 6, 2, tzinfo=UTC)


def mark(settings: Settings) -> TourMarker:
    return TourMarker.of(settings, load_use_case("credit_score", Settings()))


def test_a_server_that_is_reached_by_its_socket_may_have_another_port_after_each_start(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path, mariadb_socket=tmp_path / "mariadb.sock", mariadb_port=33_001)
    mark(settings).note(MIDNIGHT)
    assert mark(settings.model_copy(update={"mariadb_port": 33_002})).moments() == {MIDNIGHT}
    other_socket = settings.model_copy(update={"mariadb_socket": tmp_path / "other.sock"})
    assert mark(other_socket).moments() == set()
    other_database = settings.model_copy(update={"mariadb_database": "elsewhere"})
    assert mark(other_database).moments() == set()


def test_a_server_without_a_socket_is_known_by_host_and_port(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mariadb_socket=None, mariadb_port=33_001)
    mark(settings).note(MIDNIGHT)
    assert mark(settings).moments() == {MIDNIGHT}
    assert mark(settings.model_copy(update={"mariadb_port": 33_002})).moments() == set()


def test_a_marker_of_an_earlier_version_names_the_port(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mariadb_socket=tmp_path / "mariadb.sock", mariadb_port=33_001)
    marker = mark(settings)
    address = f"{settings.mariadb_host}:33001/{settings.mariadb_database}"
    marker.path.write_text(json.dumps({"database": address, "moments": [MIDNIGHT.isoformat()]}))
    assert marker.moments() == {MIDNIGHT}
    marker.note(MIDNIGHT)
    assert mark(settings.model_copy(update={"mariadb_port": 33_002})).moments() == {MIDNIGHT}


@pytest.mark.parametrize(
    ("run", "by_hand"),
    [
        (PastRun("ingest", MIDNIGHT), False),
        (PastRun("ingest", MIDNIGHT.replace(hour=9)), True),
        (PastRun("ingest", MIDNIGHT, source="mine.csv"), True),
        (PastRun("training", MIDNIGHT.replace(hour=9), trigger="drift"), False),
        (PastRun("training", MIDNIGHT, trigger="schedule"), False),
        (PastRun("training", MIDNIGHT, trigger="growth"), False),
        (PastRun("training", MIDNIGHT, trigger="manual"), True),
        (PastRun("training", MIDNIGHT), True),
    ],
)
def test_a_run_by_hand_is_told_from_one_that_the_platform_started(run: PastRun, by_hand: bool) -> None:
    assert find_runs_by_hand([run], lambda: {MIDNIGHT}) == ([run] if by_hand else [])


def test_airflow_is_not_asked_where_there_is_no_ingest() -> None:
    def fail() -> set[datetime]:
        raise AssertionError

    assert find_runs_by_hand([], fail) == []
    assert find_runs_by_hand([PastRun("training", MIDNIGHT, trigger="drift")], fail) == []
