"""The real service tells the ledger of champions set by hand: removed, refused, or while MariaDB was away."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.registry import champion_history
from evergreen.registry.champion import CHAMPION_ALIAS
from evergreen.store.connection.database import get_engine
from support.champions import promote_all
from support.serving_world import Service, World, register_models, running
from support.waiting import eventually


@pytest.fixture(scope="module")
def misfit(made: World, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A version that the service refuses."""
    folder = tmp_path_factory.mktemp("misfit")
    return register_models(made.settings, made.use_case, folder, [1], classes=("early", "late"))[0]


@pytest.fixture
def first(made: World) -> int:
    """Version 1, which Evergreen made champion; the ledger knows no other."""
    promote_all(made, made.versions[:1])
    return made.versions[0]


def by_hand(made: World, version: int | None) -> None:
    uri = made.settings.mlflow_tracking_uri
    client = MlflowClient(uri, uri)
    if version is None:
        client.delete_registered_model_alias("parcel", CHAMPION_ALIAS)
    else:
        client.set_registered_model_alias("parcel", CHAMPION_ALIAS, str(version))


def changes(made: World) -> list[tuple[str, int | None, int | None]]:
    lines = champion_history.read_champion_changes(get_engine(made.settings), "parcel")
    return [(line.action, line.from_version, line.to_version) for line in lines]


def test_a_removed_champion_and_a_refused_one_are_written_down(
    made: World, service: Service, first: int, misfit: int
) -> None:
    service.settle(first)
    own = ("promote", None, first)
    by_hand(made, None)
    eventually(lambda: changes(made) == [own, ("external", first, None)], 20)
    by_hand(made, misfit)
    eventually(lambda: changes(made)[2:] == [("external", None, misfit)], 20)
    with service.client() as client:
        eventually(lambda: "does not fit" in client.metadata()["trouble"])
        refused = client.metadata().get("refused")
        assert refused is not None
        assert refused["version"] == misfit
        assert client.predict(made.rows(1)[0])["model_version"] == first
    by_hand(made, first)
    eventually(lambda: changes(made)[3:] == [("external", misfit, first)], 20)


def test_while_mariadb_is_away_the_service_swaps_and_the_ledger_is_told_later(
    made: World, service: Service, first: int
) -> None:
    second = made.versions[1]
    # Versions that the service holds: another one waits until it can be compared with its record.
    made.promote(second)
    service.settle(second)
    promote_all(made, [first])
    service.settle(first)
    made.database.stop()
    try:
        by_hand(made, second)
        service.settle(second)
        told = "the ledger was not compared with the registry, which is tried again"
        eventually(lambda: told in service.log.read_text(errors="replace"))
        with service.client() as client:
            assert client.predict(made.rows(1)[0])["model_version"] == second
    finally:
        made.database.start()
    eventually(lambda: changes(made) == [("promote", None, first), ("external", first, second)], 30)
    assert service.log.read_text(errors="replace").count(told) <= 2  # not a line per poll


def test_what_happened_while_no_service_ran_is_written_down_at_its_start(
    made: World, first: int, tmp_path: Path
) -> None:
    by_hand(made, None)
    with running(made, tmp_path, ready=False):
        eventually(lambda: changes(made) == [("promote", None, first), ("external", first, None)], 20)
