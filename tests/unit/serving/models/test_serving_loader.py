"""How a version goes into service: what is refused, what is served with a warning, and what from a copy.

MLflow, MariaDB and the warming are stand-ins that a test breaks; the model's files are real.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import (
    ModelRefused,
    NotRegistered,
    RegistryError,
    RegistryUnreachable,
    SignatureMismatch,
    StoreUnreachable,
)
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.champion import Champion
from evergreen.registry.models import read_model_file
from evergreen.registry.versions import ModelVersion
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.models import loader as loader_module
from evergreen.serving.models.loader import ModelLoader, ModelSource
from evergreen.serving.models.model_cache import ModelCache
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ServedModel
from evergreen.serving.models.time_limit import TimeLimitedCall
from evergreen.serving.models.warming import warm_model
from evergreen.store.records.model_record import ModelRecord
from evergreen.usecase import OnDemandFeature, UseCase
from support.answering import fit
from support.model_records import build_record

DECLARATION = "0123456789abcdef"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class World:
    """MLflow and MariaDB with one version, 3, and a loader of a service's process on the home `folder`."""

    def __init__(self, use_case: UseCase, folder: Path) -> None:
        self.use_case = use_case
        self.folder = folder
        self.registered = ModelVersion(3, "run-3", {"colour": "red"})
        self.file = self.save("three.cb", fit(use_case))
        self.other_file = self.save("other.cb", fit(use_case, seed=2))
        self.record: ModelRecord | None = build_record(
            use_case,
            read_model_file(use_case, self.registered, self.file),
            draw_requests(use_case, 100, seed=8),
        )
        self.mlflow_error: Exception | None = None
        self.file_error: Exception | None = None
        self.find_record: Callable[[int, str], ModelRecord | None] = lambda version, run_id: self.record
        self.warmed: list[int] = []
        self.downloads = 0
        self.written: list[Refusal] = []
        self.start()

    def save(self, name: str, model: LoadedModel) -> Path:
        path = self.folder / name
        model.model.save_model(str(path))
        return path

    def start(self, use_case: UseCase | None = None) -> ModelLoader:
        """A new process on the same home."""
        source = ModelSource(self.read_version, self.fetch, self.find, self.warm)
        self.cache = ModelCache(self.folder / "home" / "models")
        self.refusals = RefusalLog(self.written.append)
        self.loader = ModelLoader(
            use_case or self.use_case,
            source,
            self.cache,
            declaration=DECLARATION,
            refusals=self.refusals,
        )
        return self.loader

    def read_version(self, version: int) -> ModelVersion:
        if self.mlflow_error:
            raise self.mlflow_error
        return self.registered

    def fetch(self, version: int, folder: Path) -> Path:
        self.downloads += 1
        if self.file_error:
            raise self.file_error
        path = folder / "model.cb"
        path.write_bytes(self.file.read_bytes())
        return path

    def find(self, version: int, run_id: str) -> ModelRecord | None:
        return self.find_record(version, run_id)

    def warm(self, loaded: LoadedModel) -> None:
        self.warmed.append(loaded.version)

    def refused(self) -> str:
        refusal = self.refusals.find(3, "run-3")
        return refusal.reason if refusal else ""


@pytest.fixture
def world(parcel: UseCase, tmp_path: Path) -> World:
    return World(parcel, tmp_path)


def unreachable(*_: Any) -> Any:
    raise StoreUnreachable("MariaDB does not answer", hint="start it")


def answers(use_case: UseCase, loaded: LoadedModel) -> Any:
    rows = draw_requests(use_case, 20, seed=9)
    return predict_rows(use_case, loaded, build_columns_from_rows(use_case, rows)).list_answers()


def test_a_version_on_record_goes_into_service_warmed_and_without_a_warning(world: World) -> None:
    loaded = world.loader.load_verified_model(3)
    assert (loaded.version, loaded.run_id, loaded.warnings) == (3, "run-3", ())
    assert world.record is not None
    assert loaded.digest == world.record.digest
    assert loaded.tags == {"colour": "red"}
    assert world.warmed == [3]
    assert world.refused() == ""
    assert world.cache.find(3, "run-3", loaded.digest) is not None


def test_a_replaced_file_is_refused_with_both_digests(world: World) -> None:
    world.file = world.other_file
    with pytest.raises(ModelRefused, match="is not the model that was registered") as caught:
        world.loader.load_verified_model(3)
    assert world.record is not None
    assert world.record.digest[:7] in caught.value.message
    assert "evergreen rollback parcel" in caught.value.hint
    assert world.refused() == caught.value.message
    assert world.warmed == []
    assert world.cache.find(3, "run-3") is None


def test_a_corrupted_file_is_refused_before_it_is_read_as_a_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.file.write_bytes(world.file.read_bytes()[:-100])
    monkeypatch.setattr(loader_module, "read_model_file", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ModelRefused, match=r"[\d,]+ bytes instead of [\d,]+"):
        world.loader.load_verified_model(3)


def test_a_corrupted_file_that_is_not_on_record_is_refused_too(world: World) -> None:
    world.record = None
    world.file.write_bytes(b"no model")
    with pytest.raises(ModelRefused, match="is not a CatBoost model"):
        world.loader.load_verified_model(3)
    assert "is not a CatBoost model" in world.refused()


def test_another_signature_than_on_record_is_refused(world: World) -> None:
    assert world.record is not None
    world.record = replace(world.record, signature_digest="ab" * 32)
    with pytest.raises(ModelRefused, match="other inputs or classes than when it was registered"):
        world.loader.load_verified_model(3)


def test_other_answers_to_the_golden_rows_are_refused(world: World) -> None:
    other = read_model_file(world.use_case, world.registered, world.other_file)
    rows = build_record(world.use_case, other, draw_requests(world.use_case, 100, seed=8)).golden_rows
    assert world.record is not None
    world.record = replace(world.record, golden_rows=rows)
    with pytest.raises(ModelRefused, match="20 of 20 golden rows") as caught:
        world.loader.load_verified_model(3)
    assert "another CatBoost" in caught.value.hint
    assert world.warmed == []


def test_golden_rows_that_cannot_be_answered_are_a_refusal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(weight: Any, volume: Any) -> Any:
        raise ValueError("no")

    broken.__name__ = "density"
    failing = replace(world.use_case, on_demand=(OnDemandFeature(broken), world.use_case.on_demand[1]))
    loader = world.start(failing)
    with pytest.raises(ModelRefused, match="cannot answer its golden rows: on-demand feature 'density'"):
        loader.load_verified_model(3)
    # Without golden rows, warming finds it.
    with pytest.raises(
        ModelRefused, match="cannot answer rows drawn from the declaration: on-demand feature"
    ):
        warm_model(failing, fit(world.use_case))


def test_a_record_without_golden_rows_is_enough(world: World) -> None:
    assert world.record is not None
    world.record = replace(world.record, golden_rows=None)
    assert world.loader.load_verified_model(3).warnings == ()


def test_a_model_that_does_not_fit_the_declaration_is_refused_with_the_restart_named(world: World) -> None:
    fewer = replace(world.use_case, on_demand=world.use_case.on_demand[:1])
    loader = world.start(fewer)
    with pytest.raises(SignatureMismatch, match="it wants heavy, which is not declared") as caught:
        loader.load_verified_model(3)
    assert "(0123456): if it was changed since, evergreen restart parcel" in caught.value.message
    assert world.refused() == caught.value.message


def test_a_version_that_is_not_on_record_is_served_with_a_warning(world: World) -> None:
    world.record = None
    loaded = world.loader.load_verified_model(3)
    (warning,) = loaded.warnings
    assert "parcel version 3 is not on record" in warning
    assert world.refused() == ""


def test_a_file_that_was_replaced_after_it_was_served_is_refused_and_its_copy_serves(world: World) -> None:
    """Also where there is no record: the home remembers what it served."""
    own = answers(world.use_case, world.loader.load_verified_model(3))
    record = world.record
    for world.record in (record, None):
        good, world.file = world.file, world.other_file
        loaded = world.start().load_verified_model(3)
        assert answers(world.use_case, loaded) == own
        assert "a copy of 20" in loaded.warnings[0]
        assert (
            "the SHA-256 of its file in MLflow" in world.refused()
            or "another file in MLflow" in world.refused()
        )
        world.file = good
        assert world.loader.load_verified_model(3).digest == loaded.digest
        assert world.refused() == ""


def test_without_mlflows_file_a_copy_serves_and_without_a_copy_the_error_is_mlflows(world: World) -> None:
    world.file_error = RegistryUnreachable("MLflow does not answer")
    with pytest.raises(RegistryUnreachable):
        world.loader.load_verified_model(3)
    world.file_error = FileNotFoundError("no such artifact")
    with pytest.raises(RegistryError, match="cannot be fetched from MLflow: no such artifact"):
        world.loader.load_verified_model(3)
    assert world.refused() == ""
    world.file_error = None
    first = world.loader.load_verified_model(3)
    world.file_error = RegistryUnreachable("MLflow does not answer")
    again = world.start().load_verified_model(3)
    assert answers(world.use_case, again) == answers(world.use_case, first)
    assert "MLflow does not give its file: MLflow does not answer" in again.warnings[0]
    # A copy of another file than the one on record is no substitute.
    assert world.record is not None
    world.record = replace(world.record, digest="ab" * 32)
    with pytest.raises(RegistryUnreachable):
        world.loader.load_verified_model(3)


def test_without_mariadb_nothing_goes_into_service_and_nothing_is_downloaded(world: World) -> None:
    world.find_record = unreachable
    with pytest.raises(StoreUnreachable, match="version 3 cannot be compared with its record: MariaDB does"):
        world.loader.load_verified_model(3)
    assert (world.refused(), world.downloads) == ("", 0)


def test_a_mariadb_that_hangs_is_given_up(world: World) -> None:
    released = threading.Event()

    def hang(version: int, run_id: str) -> None:
        released.wait(60)

    world.find_record = hang
    world.loader._record_call = TimeLimitedCall(0.05)
    try:
        with pytest.raises(StoreUnreachable, match="MariaDB does not answer"):
            world.loader.load_verified_model(3)
    finally:
        released.set()


def put_into_service(world: World) -> ServedModel:
    served = ServedModel(world.loader.load_verified_model(3), NOW, loaded_at=NOW)
    world.loader.note_champion(served)
    return served


@pytest.mark.parametrize("knows_champion", [False, True])
def test_a_model_of_before_the_start_needs_neither_mlflow_nor_mariadb(
    world: World, knows_champion: bool
) -> None:
    champion = Champion(3, "run-3", NOW) if knows_champion else None
    assert world.loader.load_cached_model(champion) is None
    loaded = put_into_service(world).model
    world.mlflow_error, world.find_record = RegistryUnreachable("away"), unreachable
    cached = world.start().load_cached_model(champion)
    assert cached is not None
    assert (cached.version, cached.from_cache, cached.promoted_at) == (3, True, NOW)
    assert (cached.model.digest, cached.model.warnings) == (loaded.digest, ())
    assert answers(world.use_case, cached.model) == answers(world.use_case, loaded)
    copy = world.cache.find(3, "run-3")
    assert copy is not None
    assert cached.verified_at == copy.verified_at
    copy.path.write_bytes(world.other_file.read_bytes())
    assert world.start().load_cached_model(champion) is None


def test_a_champion_without_a_copy_leaves_the_last_one(world: World) -> None:
    put_into_service(world)
    cached = world.start().load_cached_model(Champion(4, "run-4", None))
    assert cached is not None
    assert cached.version == 3


def test_what_comes_from_the_cache_is_not_noted_as_the_last_champion(world: World) -> None:
    put_into_service(world)
    note = world.folder / "home" / "models" / "last_champion.json"
    before = note.read_text()
    cached = world.start().load_cached_model(None)
    assert cached is not None
    world.loader.note_champion(replace(cached, promoted_at=None))
    assert note.read_text() == before


def test_a_version_that_answers_otherwise_now_is_not_served_from_its_copy_either(world: World) -> None:
    put_into_service(world)
    other = read_model_file(world.use_case, world.registered, world.other_file)
    rows = build_record(world.use_case, other, draw_requests(world.use_case, 100, seed=8)).golden_rows
    assert world.record is not None
    world.record = replace(world.record, golden_rows=rows)
    loader = world.start()
    with pytest.raises(ModelRefused, match="golden rows"):
        loader.load_verified_model(3)
    assert loader.load_cached_model(None) is None


def test_a_cached_model_that_was_never_on_record_says_so(world: World) -> None:
    world.record = None
    put_into_service(world)
    cached = world.start().load_cached_model(None)
    assert cached is not None
    assert "is not on record" in cached.model.warnings[0]


def test_a_cached_model_that_fits_no_more_is_refused(world: World) -> None:
    put_into_service(world)
    fewer = replace(world.use_case, on_demand=world.use_case.on_demand[:1])
    with pytest.raises(SignatureMismatch):
        world.start(fewer).load_cached_model(None)


def test_a_home_that_takes_no_copy_keeps_no_model_out_of_service(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ModelCache, "store", full)
    monkeypatch.setattr(ModelCache, "note_champion", full)
    put_into_service(world)
    assert "no copy of parcel version 3 is kept" in caplog.text
    assert "not remembered" in caplog.text


def test_a_version_that_mlflow_does_not_have_is_no_refusal(world: World) -> None:
    world.mlflow_error = NotRegistered("no such version")
    with pytest.raises(NotRegistered):
        world.loader.load_verified_model(3)
    assert world.refused() == ""
    assert world.written == []
