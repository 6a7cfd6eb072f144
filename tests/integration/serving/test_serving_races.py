"""What happens to probe requests while champions change, and to batch scoring of a moment that has passed."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from evergreen.errors import ServingError
from evergreen.ingest.loading.load import load_parts
from evergreen.loop import score
from evergreen.loop.deployment import deploy
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry import champion_history, ledger, models
from evergreen.registry.champion import read_champion
from evergreen.registry.succession import aliases
from evergreen.serving.calls.client import Client
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.records.ingest_run import start_ingest
from support.serving_world import NOW, PARCELS, World, register_models


class Killed(BaseException):
    """Like SIGKILL in this: no handler of the code under test sees it."""


@pytest.fixture(scope="module")
def one_more(made: World, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A third version."""
    return register_models(made.settings, made.use_case, tmp_path_factory.mktemp("third"), [3])[0]


@pytest.fixture
def third(made: World, one_more: int) -> int:
    """One more version; the ledger begins anew and says 1, then 2 from 1, then 3 from 2."""
    training = uuid.uuid4().hex  # the ledger has one line per training, and none of an earlier test counts

    def line(action: ledger.Action, former: int | None, new: int | None) -> None:
        ledger.append_entry(
            get_engine(made.settings),
            use_case_name="parcel",
            action=action,
            from_version=former,
            to_version=new,
            training_run_id=new and f"{training}-{new}",
            actor="test",
            reason="a test",
        )

    line("erase", None, None)
    for former, new in zip([None, *made.versions], [*made.versions, one_more], strict=True):
        line("promote", former, new)
    return one_more


def bad(version: int) -> dict[str, Any]:
    return {"model_version": version, "rows": 100, "errors": 0, "mismatches": 9, "examples": ["wrong"]}


def own_answer(made: World, version: int) -> dict[str, Any]:
    """What that version itself predicts for the first row."""
    loaded = models.load_model(made.settings, made.use_case, version)
    columns = build_columns_from_rows(made.use_case, made.rows(1))
    (answer,) = predict_rows(made.use_case, loaded, columns).list_answers()
    return asdict(answer)


def rollbacks(made: World) -> list[ledger.Entry]:
    """Since the test began."""
    lines = champion_history.read_champion_changes(get_engine(made.settings), "parcel")
    return [line for line in lines if line.action == "rollback"]


def champion_of(made: World) -> int:
    found = read_champion(made.settings, "parcel")
    assert found is not None
    return found.version


def test_bad_answers_of_a_version_that_was_overtaken_writes_nothing(made: World, third: int) -> None:
    made.promote(third)
    outcome = deploy.finalize_deployment(made.settings, "parcel", bad(made.versions[1]))
    assert outcome == {"model_version": made.versions[1], "rows": 100, "overtaken_by": third}
    assert champion_of(made) == third
    assert rollbacks(made) == []


def test_rows_that_the_next_champion_answers_are_not_held_against_the_former(
    made: World, third: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = made.versions[1]
    made.promote(second)
    monkeypatch.setitem(made.settings.service_urls, "parcel", "http://127.0.0.1:9")
    expected = own_answer(made, second)
    asked: list[int] = []

    def answer(client: Client, row: dict[str, Any]) -> dict[str, Any]:
        asked.append(1)
        if len(asked) == 21:
            made.promote(third)
        return {**expected, "model_version": second if len(asked) <= 20 else third}

    monkeypatch.setattr(Client, "predict", answer)
    monkeypatch.setattr(deploy, "collect_probe_rows", lambda *_: [made.rows(1)[0]] * 50)
    outcome = deploy.probe_service(made.settings, "parcel")
    assert (outcome["rows"], outcome["errors"], outcome["mismatches"]) == (20, 0, 0)


def test_a_wrong_version_that_is_not_champion_is_held_against_it(
    made: World, third: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = made.versions[1]
    made.promote(second)
    monkeypatch.setitem(made.settings.service_urls, "parcel", "http://127.0.0.1:9")
    monkeypatch.setattr(deploy, "collect_probe_rows", lambda *_: made.rows(3))
    expected = own_answer(made, second)
    monkeypatch.setattr(Client, "predict", lambda *_: {**expected, "model_version": third})
    assert deploy.probe_service(made.settings, "parcel")["mismatches"] == 3


def test_a_rollback_that_is_killed_leaves_its_line_and_is_completed(
    made: World, third: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made.versions
    made.promote(second)

    def deadly(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(aliases, "set_champion", deadly)
        with pytest.raises(Killed):
            deploy.finalize_deployment(made.settings, "parcel", bad(second))
    assert champion_of(made) == second
    assert len(rollbacks(made)) == 1
    with pytest.raises(ServingError, match="answers badly") as caught:
        deploy.finalize_deployment(made.settings, "parcel", bad(second))
    assert f"version {first} is champion again" in caught.value.hint
    assert champion_of(made) == first
    (line,) = rollbacks(made)
    found = read_champion(made.settings, "parcel")
    assert found is not None
    assert found.promoted_at == line.at


@pytest.mark.usefixtures("first_champion")
def test_a_moment_of_the_past_is_scored_with_what_was_known_then(made: World) -> None:
    # One more parcel, and news of the first, ten days after the rest.
    later = NOW + timedelta(days=10)
    frame = pd.DataFrame(made.rows(2, seed=77))
    frame["parcel_id"] = [1, PARCELS + 1]
    frame["event_time"] = pd.Series([later - timedelta(days=1)] * 2, dtype="datetime64[us, UTC]")
    run = start_ingest(get_engine(made.settings), made.use_case, later)
    load_parts(get_engine(made.settings), made.use_case, run.id, {"shipment": frame})

    def scored(as_of: datetime) -> pd.DataFrame:
        parts = score.plan_partitions(made.settings, "parcel", as_of, size=100)
        for part in parts:
            score.score_partition(made.settings, "parcel", as_of, part)
        log = read_predictions(
            get_engine(made.settings), made.use_case, as_of - timedelta(seconds=1), as_of, channels=("batch",)
        )
        return log.set_index("parcel_id")

    before, after = scored(NOW + timedelta(days=5)), scored(later)
    assert (len(before), len(after)) == (PARCELS, PARCELS + 1)
    names = [feature.name for feature in made.use_case.stored_features]
    assert not before.loc[1, names].equals(after.loc[1, names])
    assert before.loc[2, names].equals(after.loc[2, names])
    assert score.plan_partitions(made.settings, "parcel", datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_a_partition_reads_its_own_entities_only(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []
    real = score.read_rows_as_of

    def watched(database: Any, use_case: Any, as_of: datetime, after: Any, until: Any) -> pd.DataFrame:
        asked.append((after, until))
        return real(database, use_case, as_of, after, until)

    monkeypatch.setattr(score, "read_rows_as_of", watched)
    as_of = NOW + timedelta(hours=1)
    parts = score.plan_partitions(made.settings, "parcel", as_of, size=120)
    assert asked == []
    rows = [score.score_partition(made.settings, "parcel", as_of, part)["rows"] for part in parts]
    assert asked == [(None, [120]), ([120], [240]), ([240], None)]
    assert rows == [120, 120, PARCELS - 240]
