"""A real service that does not follow its declaration, which is edited: who says so, and what helps; and
champions gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from evergreen.demo.service import refuse_outdated_service
from evergreen.errors import DemoError, NoChampion, RegistryError, ServingError, SignatureMismatch
from evergreen.loop.deployment import deploy
from evergreen.loop.deployment.rollback import roll_back_champion
from evergreen.registry import champion_history
from evergreen.registry.champion import CHAMPION_ALIAS
from evergreen.registry.models import register_model_version
from evergreen.registry.succession.erasure import delete_model_and_runs
from evergreen.registry.versions import read_version
from evergreen.stack.overview import build_overview
from evergreen.stack.restart import require_model_after_restart
from evergreen.store.connection.database import get_engine
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest, shorten_digest
from support.champions import promote_all
from support.edited_parcel import DEPOT, DEPOT_UNUSED, MAXIMUM, WIDER, EditedParcel
from support.serving_world import Service, World, register_models, running
from support.waiting import eventually


@pytest.fixture(scope="module")
def service(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is set not to take over a changed declaration."""
    made.promote(made.versions[0])
    more = {"EVERGREEN_FOLLOW_DECLARATION": "false"}
    with running(made, tmp_path_factory.mktemp("service"), more=more) as started:
        made.settings.service_urls["parcel"] = started.url
        yield started


@pytest.fixture
def promoted(made: World) -> int:
    """Version 1, by the ledger and by the registry."""
    promote_all(made, made.versions[:1])
    return made.versions[0]


@pytest.fixture
def expendable(made: World, promoted: int) -> Iterator[int]:
    """That version in a registered model which the test may delete: it is registered anew in the end."""
    runs = [read_version(made.settings, "parcel", version).run_id for version in made.versions]
    yield promoted
    delete_model_and_runs(made.settings, "parcel")
    again = [
        register_model_version(made.settings, "parcel", run, f"training-{n}", {})
        for n, run in enumerate(runs, 1)
    ]
    assert again == made.versions


@pytest.fixture
def edit(made: World) -> Iterator[Any]:
    """Edits the declaration as its owner would, and reads it as another process; undone in the end."""
    parcel = EditedParcel(made.settings)
    yield parcel.edit
    parcel.restore()


def read_overview(made: World) -> dict[str, Any]:
    return build_overview(made.settings, made.use_case).to_json()


def standing(made: World, declared: UseCase) -> dict[str, Any]:
    found: dict[str, Any] = build_overview(made.settings, declared).to_json()["standing"]
    return found


def test_a_service_names_the_declaration_that_it_holds(made: World, service: Service, promoted: int) -> None:
    service.settle(promoted)
    with service.client() as client:
        assert client.metadata()["declaration"] == compute_serving_digest(made.use_case)
    overview = build_overview(made.settings, made.use_case)
    facts = overview.to_json()
    assert facts["standing"]["summary"] == f"serves v{promoted}"
    assert overview.is_healthy


def test_a_widened_maximum_makes_the_service_lag_and_deploy_blames_nobody_else(
    made: World, service: Service, promoted: int, edit: Any
) -> None:
    service.settle(promoted)
    wider = edit(MAXIMUM, WIDER)
    now = shorten_digest(compute_serving_digest(wider))
    overview = build_overview(made.settings, wider)
    facts = overview.to_json()
    held = shorten_digest(compute_serving_digest(made.use_case))
    assert facts["standing"]["summary"] == (
        f"serves v{promoted}; holds an older declaration ({held}, now {now}): evergreen restart parcel"
    )
    assert not overview.is_healthy
    with pytest.raises(ServingError, match="holds an older declaration") as caught:
        deploy.run_deploy(made.settings, "parcel")
    assert "evergreen restart parcel" in caught.value.hint
    assert "docker compose restart service-parcel" in caught.value.hint
    changes = champion_history.read_champion_changes(get_engine(made.settings), "parcel")
    assert [line.action for line in changes] == ["promote"]  # no rollback of a champion at no fault
    with pytest.raises(DemoError, match=f"holds an older declaration .*now {now}") as refused:
        refuse_outdated_service(made.settings, wider)
    assert "docker compose restart service-parcel" in refused.value.hint
    edit(WIDER, MAXIMUM)
    deploy.wait_for_champion(made.settings, "parcel")


def test_a_new_process_holds_the_declaration_of_now(
    made: World, promoted: int, edit: Any, tmp_path: Path
) -> None:
    wider = edit(MAXIMUM, WIDER)
    heavy = made.rows(1)[0] | {"weight": 400.0}
    with running(made, tmp_path) as started, started.client() as client:
        assert client.metadata()["declaration"] == compute_serving_digest(wider)
        assert client.predict(heavy)["model_version"] == promoted


def test_a_champion_that_only_the_new_declaration_takes_is_refused_with_the_restart_named(
    made: World, service: Service, promoted: int, edit: Any
) -> None:
    service.settle(promoted)
    fewer = edit(DEPOT, DEPOT_UNUSED)
    refused = "would have no model after a restart: parcel version 1 does not fit the declaration"
    with pytest.raises(SignatureMismatch, match=refused) as caught:
        require_model_after_restart(made.settings, fewer, service.url)
    assert "evergreen train parcel" in caught.value.hint
    assert "--force" in caught.value.hint
    (third,) = register_models(made.settings, fewer, Path(made.settings.home), [3])
    made.promote(third)
    with service.client() as client:
        eventually(lambda: "does not fit the declaration" in client.metadata()["trouble"])
        assert "evergreen restart parcel" in client.metadata()["trouble"]
        assert client.metadata()["model_version"] == promoted
    require_model_after_restart(made.settings, fewer, service.url)
    assert standing(made, fewer)["summary"].startswith(
        f"serves v{promoted}, champion is v{third}; holds an older declaration ("
    )


def test_a_champion_that_was_removed_by_hand_is_told_with_the_way_back(
    made: World, service: Service, promoted: int
) -> None:
    service.settle(promoted)
    uri = made.settings.mlflow_tracking_uri
    client = MlflowClient(uri, uri)
    client.delete_registered_model_alias("parcel", CHAMPION_ALIAS)
    overview = build_overview(made.settings, made.use_case)
    facts = overview.to_json()
    assert facts["champion"]["reason"].startswith(f"nobody is champion in MLflow any more (v{promoted} was")
    assert facts["champion"]["remedy"] == "evergreen rollback parcel"
    assert facts["standing"]["serves"] == promoted
    assert not overview.is_healthy
    with pytest.raises(NoChampion, match=f"answers with v{promoted}") as caught:
        require_model_after_restart(made.settings, made.use_case, service.url)
    assert "evergreen rollback parcel" in caught.value.hint
    # Whoever noticed it, the way back is the same.
    eventually(lambda: read_overview(made)["champion"]["noticed_at"] is not None)
    assert read_overview(made)["champion"]["last_version"] == promoted
    assert roll_back_champion(made.settings, "parcel").to_version == promoted
    assert build_overview(made.settings, made.use_case).is_healthy


def test_a_champion_whose_version_was_deleted_leads_to_a_training(
    made: World, service: Service, expendable: int
) -> None:
    uri = made.settings.mlflow_tracking_uri
    client = MlflowClient(uri, uri)
    client.delete_model_version("parcel", str(expendable))
    champion = read_overview(made)["champion"]
    assert "which was deleted there" in champion["reason"]
    assert champion["remedy"] == "evergreen train parcel"
    with pytest.raises(
        RegistryError, match=f"version {expendable} of parcel was deleted in MLflow"
    ) as caught:
        roll_back_champion(made.settings, "parcel")
    assert "evergreen train parcel" in caught.value.hint
    client.delete_registered_model("parcel")
    assert read_overview(made)["champion"]["remedy"] == "evergreen train parcel"
