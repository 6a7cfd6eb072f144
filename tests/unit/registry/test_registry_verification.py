"""The loader of versions for everybody but the service: a file is verified before it is read."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.errors import ModelRefused
from evergreen.model.loaded_model import LoadedModel
from evergreen.registry import verification
from evergreen.registry.champion import Champion
from evergreen.registry.verification import load_recorded_model
from evergreen.registry.versions import ModelVersion
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.store.records.model_record import ModelRecord
from evergreen.training.judge import contest
from evergreen.training.judge.contest import ChampionScores, score_champion
from evergreen.usecase import UseCase
from support.answering import fit
from support.model_records import build_record
from support.parcel_case import declare

DATABASE = sa.create_engine("sqlite://")


class World:
    """A registry with one version, its file, and its record in MariaDB."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(home=folder / "home", use_cases=str(folder / "usecases"))
        self.use_case: UseCase = declare(self.settings)
        fitted = fit(self.use_case)
        fitted.model.save_model(str(folder / "model.cb"))
        self.content = (folder / "model.cb").read_bytes()
        registered = ModelVersion(1, "run", {})
        monkeypatch.setattr(verification, "read_version", lambda *_: registered)
        monkeypatch.setattr(verification, "fetch_model_file", self._fetch)
        monkeypatch.setattr(verification, "find_model_record", lambda *_: self.record)
        self.record: ModelRecord | None = None
        loaded = self.load()
        self.record = build_record(self.use_case, loaded, draw_requests(self.use_case, 20, seed=3))

    def _fetch(self, settings: Settings, name: str, version: int, folder: Path) -> Path:
        path = folder / "model.cb"
        path.write_bytes(self.content)
        return path

    def load(self) -> LoadedModel:
        return load_recorded_model(self.settings, DATABASE, self.use_case, 1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_version_that_is_as_on_record_is_loaded_without_a_warning(world: World) -> None:
    assert world.load().warnings == ()


def test_another_file_than_on_record_is_refused_before_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the file was read as a model")

    monkeypatch.setattr(verification, "read_model_file", fail)
    world.content += b"x"
    with pytest.raises(ModelRefused, match="is not the model that was registered"):
        world.load()


def test_other_answers_than_on_record_are_refused(world: World) -> None:
    assert world.record is not None
    assert world.record.golden_rows is not None
    first, *others = world.record.golden_rows.rows
    wrong = replace(first, probabilities={"no": 0.5, "yes": 0.5})
    world.record = replace(world.record, golden_rows=replace(world.record.golden_rows, rows=(wrong, *others)))
    with pytest.raises(ModelRefused, match="answers otherwise"):
        world.load()


def test_a_version_of_before_the_records_is_loaded_with_a_warning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.record = None
    with caplog.at_level(logging.WARNING):
        loaded = world.load()
    assert "parcel version 1 is not on record" in loaded.warnings[0]
    assert loaded.warnings[0] in caplog.text


def test_a_champion_that_was_replaced_takes_no_part_in_the_contest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "read_champion", lambda *_: Champion(1, "run", None))
    world.content += b"x"
    scores = score_champion(
        world.settings, DATABASE, world.use_case, pd.DataFrame(), {"weight": np.array([])}, []
    )
    assert replace(scores, remark="") == ChampionScores(1, None, "")
    assert "champion v1 is refused: parcel version 1 is not the model that was registered" in scores.remark
