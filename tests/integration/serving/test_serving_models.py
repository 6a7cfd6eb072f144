"""The real service and its models: replaced, damaged and unfit ones, outages at the start, many swaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from evergreen.cli.tables.registry_tables import LedgerPage
from evergreen.errors import ModelRefused
from evergreen.registry import ledger
from evergreen.registry.champion import Champion
from evergreen.registry.models import load_model
from evergreen.registry.refusals import record_refusal
from evergreen.registry.succession.rollback import roll_back
from evergreen.serving.http.bodies import MetadataBody
from evergreen.serving.standing import read_service_status
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_record import find_model_record, save_model_record
from support.champions import promote_all
from support.mlflow_stand_in import MlflowStandIn, RegisteredFile
from support.model_records import build_record
from support.serving_world import Service, World, register_models, running
from support.steady_load import predict_probabilities, send_steadily
from support.waiting import eventually


def find_file(made: World, version: int) -> Path:
    """The file of that version's model in MLflow's artifacts."""
    client = MlflowClient(made.settings.mlflow_tracking_uri, made.settings.mlflow_tracking_uri)
    source = client.get_model_version("parcel", str(version)).source
    model = client.get_logged_model(source.removeprefix("models:/"))
    return Path(model.artifact_location.removeprefix("file://")) / "model.cb"


def put_on_record(made: World, version: int) -> None:
    loaded = load_model(made.settings, made.use_case, version)
    save_model_record(get_engine(made.settings), build_record(made.use_case, loaded, made.rows(200, seed=3)))


def read_metadata(service: Service) -> MetadataBody:
    with service.client() as client:
        return client.metadata()


def read_refusals(made: World, version: int) -> list[ledger.Entry]:
    entries = ledger.read_entries(get_engine(made.settings), "parcel")
    return [entry for entry in entries if (entry.action, entry.to_version) == ("refuse", version)]


@pytest.fixture
def first(made: World) -> int:
    """Version 1, on record, is champion by the ledger and by the registry."""
    promote_all(made, made.versions[:1])
    put_on_record(made, made.versions[0])
    return made.versions[0]


@pytest.fixture
def third(made: World, tmp_path: Path) -> int:
    """One more version, which no home has seen."""
    (version,) = register_models(made.settings, made.use_case, tmp_path, [3])
    put_on_record(made, version)
    return version


@pytest.fixture
def away(made: World) -> Iterator[MlflowStandIn]:
    """An MLflow that has the world's versions 1 and 2 and does not answer yet."""
    stand_in = MlflowStandIn()
    for version in made.versions:
        run_id = load_model(made.settings, made.use_case, version).run_id
        stand_in.versions[version] = RegisteredFile(run_id, find_file(made, version).read_bytes())
    return stand_in


def test_a_file_that_was_replaced_is_refused_told_and_taken_when_it_is_right_again(
    made: World, service: Service, first: int, third: int, tmp_path: Path
) -> None:
    service.settle(first)
    file = find_file(made, third)
    right = file.read_bytes()
    file.write_bytes(find_file(made, first).read_bytes())
    made.promote(third)
    eventually(lambda: read_metadata(service).get("refused") is not None)
    metadata = read_metadata(service)
    assert metadata["model_version"] == first
    refused = metadata.get("refused")
    assert refused is not None
    assert refused["version"] == third
    assert "is not the model that was registered" in refused["reason"]
    assert metadata["trouble"] == refused["reason"]
    with service.client() as client:
        assert client.predict(made.rows(1)[0])["model_version"] == first
    status = read_service_status(made.settings, service.url, made.use_case, Champion(third, "", None))
    assert refused["reason"] in status.describe()
    # Another replica refuses it too: the ledger has one line.
    with running(made, tmp_path / "replica") as replica:
        eventually(lambda: read_metadata(replica).get("refused") is not None)
        assert read_metadata(replica)["model_version"] == first
        eventually(lambda: len(read_refusals(made, third)) == 1)
        (line,) = read_refusals(made, third)
        assert (line.from_version, line.actor, line.reason) == (first, "service", refused["reason"])
        page = LedgerPage("parcel", True, (), (line,)).to_json()
        assert page["lines"][0]["action"] == "refuse"
        assert (
            record_refusal(get_engine(made.settings), "parcel", third, line.mlflow_run_id or "", line.reason)
            == line
        )
    file.write_bytes(right)
    eventually(lambda: read_metadata(service)["model_version"] == third)
    metadata = read_metadata(service)
    assert (metadata.get("refused"), metadata.get("model_warnings"), metadata["trouble"]) == (None, [], "")
    assert len(read_refusals(made, third)) == 1


def test_a_file_that_was_replaced_under_its_service_shows_at_the_next_start_and_the_copy_serves(
    made: World, service: Service, first: int, tmp_path: Path
) -> None:
    service.settle(first)
    rows = made.rows(10, seed=7)
    own = predict_probabilities(made, first, rows)
    file = find_file(made, first)
    right = file.read_bytes()
    file.write_bytes(find_file(made, made.versions[1]).read_bytes())
    try:
        with running(made, tmp_path) as replica, replica.client() as client:
            metadata = client.metadata()
            assert metadata["model_version"] == first
            refused = metadata.get("refused")
            assert refused is not None
            assert "is not the model that was registered" in refused["reason"]
            assert refused["reason"] in metadata.get("model_warnings", [""])[0]
            assert [client.predict(row)["probability"] for row in rows] == pytest.approx(own, abs=1e-12)
            eventually(lambda: len(read_refusals(made, first)) == 1)
        with pytest.raises(ModelRefused, match="is not the model that was registered"):
            roll_back_to(made, first)
    finally:
        file.write_bytes(right)


def roll_back_to(made: World, version: int) -> None:
    """As `evergreen rollback --to` after another version became champion."""
    second = made.versions[1]
    promote_all(made, [version, second])
    roll_back(made.settings, get_engine(made.settings), made.use_case, version, actor="test", reason="")


def test_a_damaged_file_without_a_record_and_a_model_that_fits_not_are_refused(
    made: World, service: Service, first: int, tmp_path: Path
) -> None:
    service.settle(first)
    (misfit,) = register_models(
        made.settings, made.use_case, tmp_path / "misfit", [1], classes=("early", "late")
    )
    (damaged,) = register_models(made.settings, made.use_case, tmp_path / "damaged", [1])
    file = find_file(made, damaged)
    file.write_bytes(file.read_bytes()[:200])
    for version, reason in ((misfit, "does not fit the declaration"), (damaged, "is not a CatBoost model")):
        made.promote(version)
        eventually(lambda version=version: len(read_refusals(made, version)) == 1)  # type: ignore[misc]
        assert reason in read_refusals(made, version)[0].reason
        metadata = read_metadata(service)
        assert metadata["model_version"] == first
        refused = metadata.get("refused")
        assert refused is not None
        assert (refused["version"], reason in refused["reason"]) == (version, True)
    made.promote(first)
    eventually(lambda: read_metadata(service)["trouble"] == "")
    assert read_metadata(service).get("refused") is None


def test_a_version_that_is_not_on_record_is_served_with_a_warning(
    made: World, service: Service, first: int, tmp_path: Path
) -> None:
    (by_hand,) = register_models(made.settings, made.use_case, tmp_path, [2])
    made.promote(by_hand)
    service.settle(by_hand)
    (warning,) = read_metadata(service).get("model_warnings", [])
    assert f"version {by_hand} is not on record" in warning
    assert read_refusals(made, by_hand) == []


def test_without_mlflow_at_the_start_the_cached_champion_answers_and_follows_when_mlflow_is_back(
    made: World, service: Service, first: int, away: MlflowStandIn, tmp_path: Path
) -> None:
    service.settle(first)
    rows = made.rows(10, seed=7)
    own = predict_probabilities(made, first, rows)
    away.champion = first
    where = {"EVERGREEN_MLFLOW_TRACKING_URI": away.uri}
    with running(made, tmp_path, more=where) as replica, replica.client() as client:
        answer = httpx.get(f"{replica.url}/readyz")
        assert (answer.status_code, answer.json()["status"], answer.json()["model_version"]) == (
            200,
            "ready",
            first,
        )
        metadata = client.metadata()
        cached = metadata.get("cached")
        assert cached is not None
        assert answer.json()["cached"] == cached
        assert cached["verified_at"] < cached["since"]
        eventually(lambda: "MLflow does not answer" in client.metadata()["trouble"])
        assert [client.predict(row)["probability"] for row in rows] == pytest.approx(own, abs=1e-12)
        text = read_service_status(made.settings, replica.url, made.use_case, None).describe()
        assert text.startswith(f"serves v{first} from its cache since {cached['since'][:10]}")
        with away.answering():
            eventually(lambda: client.metadata().get("cached") is None)
            assert (client.metadata()["model_version"], client.metadata()["trouble"]) == (first, "")
            assert httpx.get(f"{replica.url}/readyz").json()["cached"] is None
            away.champion = made.versions[1]
            replica.settle(made.versions[1])
            downloads = list(away.downloads)
            # The model before is in memory: nothing is downloaded, so that nothing can be in the way.
            away.versions[first].content = b"gone"
            away.champion = first
            replica.settle(first)
            assert [client.predict(row)["probability"] for row in rows] == pytest.approx(own, abs=1e-12)
            assert away.downloads == downloads
            assert client.metadata().get("refused") is None


def test_without_mariadb_at_the_start_the_champions_copy_answers_and_news_waits(
    made: World, service: Service, first: int, third: int, tmp_path: Path
) -> None:
    service.settle(first)
    made.database.stop()
    try:
        with running(made, tmp_path) as replica:
            metadata = read_metadata(replica)
            assert metadata["model_version"] == first
            assert metadata.get("cached") is not None
            eventually(lambda: f"version {first} cannot be compared" in read_metadata(replica)["trouble"])
            made.promote(third)
            eventually(lambda: f"version {third} cannot be compared" in read_metadata(replica)["trouble"])
            assert read_metadata(replica)["model_version"] == first
            made.database.start()
            replica.settle(third)
            assert read_metadata(replica).get("cached") is None
    finally:
        if made.database.process is None:
            made.database.start()


def test_swaps_and_rollbacks_under_load_fail_no_request_and_each_answer_is_its_versions_own(
    made: World, service: Service, first: int
) -> None:
    service.settle(first)
    rows = made.rows(40, seed=33)
    expected = {version: predict_probabilities(made, version, rows) for version in made.versions}
    with send_steadily(service, rows, expected) as load:
        for turn in range(10):
            version = made.versions[(turn + 1) % 2]
            made.promote(version)
            eventually(lambda version=version: read_metadata(service)["model_version"] == version)  # type: ignore[misc]
            before = load.answers[version]
            eventually(lambda version=version, before=before: load.answers[version] > before + 5)  # type: ignore[misc]
    assert load.faults == []
    assert set(load.answers) == set(made.versions)


def test_a_record_belongs_to_its_run(made: World, first: int) -> None:
    engine = get_engine(made.settings)
    run_id = load_model(made.settings, made.use_case, first).run_id
    record = find_model_record(engine, "parcel", first, run_id)
    assert record is not None
    assert record == build_record(
        made.use_case, load_model(made.settings, made.use_case, first), made.rows(200, seed=3)
    )
    assert find_model_record(engine, "parcel", first, "another run") is None
    assert find_model_record(engine, "parcel", 999, run_id) is None
    save_model_record(engine, record)
    assert find_model_record(engine, "parcel", first, run_id) == record
