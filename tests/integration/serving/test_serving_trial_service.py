"""Trials on the real service: a canary's share, a shadow's rows, a wrong challenger, and several workers."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from evergreen.errors import NotRegistered, RegistryError, SettingsError, SignatureMismatch
from evergreen.loop.trial import end_running_trial, read_trial_report, start_declared_trial
from evergreen.loop.trial_page import write_trial_page
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry import ledger
from evergreen.registry.models import load_model
from evergreen.registry.succession.trial import end_trial_in_time
from evergreen.serving.standing import build_service_status
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_id import derive_shadow_id
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.records.model_trial import find_running_trial, find_trial, insert_trial
from evergreen.store.records.trial_course import read_trial_course
from support.champions import promote_all
from support.parcel_case import row
from support.serving_world import Service, World, register_models, running
from support.trials import build_trial
from support.waiting import eventually


def read_trial(service: Service) -> Any:
    with service.client() as client:
        return client.metadata().get("trial")


def read_lines(made: World, action: str) -> list[ledger.Entry]:
    entries = ledger.read_entries(get_engine(made.settings), "parcel")
    return [entry for entry in entries if entry.action == action]


def read_aliases(made: World) -> dict[str, int]:
    client = MlflowClient(made.settings.mlflow_tracking_uri, made.settings.mlflow_tracking_uri)
    aliases = client.get_registered_model("parcel").aliases
    return {alias: int(version) for alias, version in aliases.items()}


@pytest.fixture
def champion(made: World, service: Service) -> Iterator[int]:
    """Version 1 is in service; a trial that the test leaves is ended."""
    promote_all(made, made.versions[:1])
    service.settle(made.versions[0])
    yield made.versions[0]
    if find_running_trial(get_engine(made.settings), "parcel") is not None:
        end_running_trial(made.settings, "parcel")
    eventually(lambda: read_trial(service) is None)


def test_a_canary_answers_its_keys_and_no_others_until_it_is_ended(
    made: World, service: Service, champion: int, tmp_path: Path
) -> None:
    challenger, earlier = made.versions[1], made.logged("challenger")
    trial = start_declared_trial(
        made.settings, "parcel", challenger, mode="canary", share=0.5, duration=timedelta(hours=1), actor="me"
    )
    eventually(lambda: read_trial(service) is not None)
    assert read_aliases(made) == {"champion": champion, "challenger": challenger}
    rows = [{**values, "parcel_id": n % 100} for n, values in enumerate(made.rows(200, seed=4))]
    with service.client() as client:
        answers = [client.predict(values) for values in rows]
        metadata = client.metadata()
        many = client.predict_batch(rows[:50])
    by_key = [answer["model_version"] for answer in answers]
    assert by_key[:100] == by_key[100:]
    assert 25 <= sum(version == challenger for version in by_key[:100]) <= 75
    for version in (champion, challenger):
        own = [n for n, answer in enumerate(answers) if answer["model_version"] == version]
        columns = build_columns_from_rows(made.use_case, [rows[n] for n in own])
        expected = predict_rows(made.use_case, load_model(made.settings, made.use_case, version), columns)
        shares = [answers[n]["probabilities"] for n in own]
        assert shares == [pytest.approx(answer.probabilities) for answer in expected.list_answers()]
    # Each row of a request of many goes by its key too.
    assert [answer["model_version"] for answer in many] == by_key[:50]
    status = build_service_status(metadata, service.url, made.use_case, None)
    assert f"tries v{challenger} as canary for 50 % of the keys" in status.describe()
    eventually(service.drained)
    report = read_trial_report(made.settings, "parcel")
    assert report.rows[1].rows == sum(version == challenger for version in [*by_key, *by_key[:50]])
    assert made.logged("challenger") == earlier + report.rows[1].rows
    assert report.trial is not None
    course = read_trial_course(get_engine(made.settings), made.use_case, report.trial, datetime.now(UTC))
    assert sum(course.rows[challenger, True]) == report.rows[1].rows
    write_trial_page(made.settings, report, tmp_path / "canary.svg")
    assert f"v{challenger}, challenger" in (tmp_path / "canary.svg").read_text()

    end_running_trial(made.settings, "parcel", reason="seen enough", actor="me")
    eventually(lambda: read_trial(service) is None)
    with service.client() as client:
        assert {client.predict(values)["model_version"] for values in rows[:30]} == {champion}
    started, ended = read_lines(made, "start_trial")[0], read_lines(made, "end_trial")[0]
    assert (started.from_version, started.to_version, started.actor) == (champion, challenger, "me")
    assert (ended.actor, ended.reason) == ("me", "stopped: seen enough")
    assert read_aliases(made) == {"champion": champion}
    assert read_trial_report(made.settings, "parcel").to_json()["trial"]["id"] == trial.id


def test_a_shadow_is_logged_beside_the_champions_answers_and_nobody_sees_it(
    made: World, service: Service, champion: int
) -> None:
    began = datetime.now(UTC)
    challenger = made.versions[1]
    start_declared_trial(made.settings, "parcel", challenger, mode="shadow", duration=timedelta(hours=1))
    eventually(lambda: read_trial(service) is not None)
    with service.client() as client:
        answers = [client.predict(values) for values in made.rows(60, seed=5)]
    assert {answer["model_version"] for answer in answers} == {champion}
    eventually(lambda: made.logged("shadow") >= 60)
    now = datetime.now(UTC)
    engine = get_engine(made.settings)
    shadow = read_predictions(engine, made.use_case, began, now, channels=("shadow",))
    traffic = read_predictions(engine, made.use_case, began, now)
    assert set(shadow["model_version"]) == {challenger}
    assert set(traffic["model_version"]) == {champion}
    pairs = shadow.assign(prediction_id=shadow["prediction_id"].map(derive_shadow_id)).merge(
        traffic, on="prediction_id", suffixes=("_shadow", "")
    )
    assert len(pairs) == len(answers)
    assert (pairs["weight_shadow"] == pairs["weight"]).all()
    assert (pairs["density_shadow"] == pairs["density"]).all()


def test_a_wrong_challenger_ends_its_trial_by_itself_in_every_replica_with_one_line(
    made: World, service: Service, champion: int, tmp_path: Path
) -> None:
    (wrong,) = register_models(made.settings, made.use_case, tmp_path, [1], skew=12.0)
    earlier = len(read_lines(made, "end_trial"))
    with running(made, tmp_path / "replica") as replica:
        start_declared_trial(
            made.settings, "parcel", wrong, mode="canary", share=0.5, duration=timedelta(hours=1)
        )
        eventually(lambda: read_trial(service) is not None and read_trial(replica) is not None)
        for one in (service, replica):
            with one.client() as client:
                rows = [{**values, "parcel_id": n} for n, values in enumerate(made.rows(600, seed=6))]
                client.predict_batch(rows[:300])
                client.predict_batch(rows[300:])
        eventually(lambda: read_trial(service) is None and read_trial(replica) is None, 30)
    report = read_trial_report(made.settings, "parcel")
    assert report.trial is not None
    assert report.trial.outcome == "failed"
    assert "the distance of its predictions from the champion's" in str(report.trial.reason)
    assert len(read_lines(made, "end_trial")) == earlier + 1
    assert read_lines(made, "end_trial")[0].actor == "service"
    with service.client() as client:
        assert {client.predict(row(parcel_id=n))["model_version"] for n in range(20)} == {champion}


def test_an_ab_test_of_two_versions_ends_in_time_with_their_errors_by_the_outcomes(
    made: World, service: Service, champion: int, tmp_path: Path
) -> None:
    rival = register_models(made.settings, made.use_case, tmp_path, [1])[0]
    challenger = made.versions[1]
    trial = start_declared_trial(
        made.settings, "parcel", challenger, rival=rival, share=0.25, duration=timedelta(hours=1), actor="me"
    )
    assert (
        trial.describe() == f"v{challenger} against v{rival}, each for 25 % of the keys, beside v{champion}"
    )
    eventually(lambda: read_trial(service) is not None)
    rows = [{**values, "parcel_id": n} for n, values in enumerate(made.rows(400, seed=8))]
    with service.client() as client:
        answers = client.predict_batch(rows)
        mine = [answer for answer in answers if answer["model_version"] != champion]
        # The challenger is always right, its rival never.
        classes = made.use_case.label.classes
        client.feedback_batch(
            [
                (
                    answer["prediction_id"],
                    next(
                        name
                        for name in classes
                        if (name == answer["prediction"]) == (answer["model_version"] == challenger)
                    ),
                )
                for answer in mine
            ]
        )
    eventually(service.drained)
    ended = end_trial_in_time(made.settings, get_engine(made.settings), made.use_case, trial, actor="service")
    shares = Counter(answer["model_version"] for answer in answers)
    assert set(shares) == {champion, challenger, rival}
    assert min(shares[challenger], shares[rival]) > 60
    assert ended.outcome == "no_verdict"  # fewer rows than a verdict needs; the figures are told all the same
    for words in (
        f"v{challenger} answered {shares[challenger]} rows and v{rival} {shares[rival]}",
        f"share of wrong answers of {len(mine)} outcomes: v{challenger} 0 (0 to ",
        f"v{rival} 1 (",
        "difference -1 (-1 to -0.9",
    ):
        assert words in str(ended.reason)
    assert str(ended.reason) in read_lines(made, "end_trial")[0].reason
    report = read_trial_report(made.settings, "parcel")
    assert [rows.rows for rows in report.rows] == [shares[champion], shares[challenger], shares[rival]]
    assert report.rows[0].error is None
    assert report.rows[1].error is not None
    assert report.rows[1].error.rows == shares[challenger]
    eventually(lambda: read_trial(service) is None)


def test_another_champion_ends_the_trial(made: World, service: Service, champion: int) -> None:
    challenger = made.versions[1]
    start_declared_trial(made.settings, "parcel", challenger, duration=timedelta(hours=1))
    eventually(lambda: read_trial(service) is not None)
    promote_all(made, [challenger])
    service.settle(challenger)
    eventually(lambda: find_running_trial(get_engine(made.settings), "parcel") is None, 60)
    last = read_trial_report(made.settings, "parcel").trial
    assert last is not None
    assert (last.outcome, last.reason) == ("stopped", f"v{challenger} became champion meanwhile")
    assert read_lines(made, "end_trial")[0].reason == f"stopped: {last.reason}"
    promote_all(made, [champion])
    service.settle(champion)


def test_a_version_that_verification_refuses_is_not_tried(
    made: World, service: Service, champion: int, tmp_path: Path
) -> None:
    (misfit,) = register_models(made.settings, made.use_case, tmp_path, [1], classes=("early", "late"))
    earlier = read_lines(made, "start_trial")
    for version, rival in ((misfit, None), (made.versions[1], misfit)):
        with pytest.raises(SignatureMismatch, match="does not fit the declaration"):
            start_declared_trial(made.settings, "parcel", version, rival=rival)
    assert read_lines(made, "start_trial") == earlier
    # What came to be so after the start, each worker sees for itself.
    now = datetime.now(UTC)
    engine = get_engine(made.settings)
    trial = build_trial(
        id=str(uuid.uuid4()),
        champion_version=champion,
        challenger_version=misfit,
        started_at=now,
        ends_at=now + timedelta(hours=1),
    )
    insert_trial(engine, trial)
    eventually(lambda: find_running_trial(engine, "parcel") is None, 30)
    ended = find_trial(engine, trial.id)
    assert ended is not None
    assert ended.outcome == "failed"
    assert str(ended.reason).startswith("the challenger was not put into service: ")
    assert "does not fit the declaration" in read_lines(made, "end_trial")[0].reason


def test_a_trial_ends_in_time_and_says_that_it_saw_too_little(
    made: World, service: Service, champion: int
) -> None:
    start_declared_trial(made.settings, "parcel", made.versions[1], duration=timedelta(seconds=3))
    eventually(lambda: find_running_trial(get_engine(made.settings), "parcel") is None, 30)
    trial = read_trial_report(made.settings, "parcel").trial
    assert trial is not None
    assert trial.outcome == "no_verdict"


def test_what_cannot_be_tried_is_refused_in_words(made: World, service: Service, champion: int) -> None:
    for version, error, words in (
        (champion, RegistryError, "is the champion"),
        (999, NotRegistered, "999"),
    ):
        with pytest.raises(error, match=words):
            start_declared_trial(made.settings, "parcel", version)
    with pytest.raises(RegistryError, match="no trial of parcel runs"):
        end_running_trial(made.settings, "parcel")
    first = start_declared_trial(made.settings, "parcel", made.versions[1])
    assert start_declared_trial(made.settings, "parcel", made.versions[1]).id == first.id
    with pytest.raises(RegistryError, match="runs already: v2 in shadow"):
        start_declared_trial(made.settings, "parcel", made.versions[1], mode="canary")
    with pytest.raises(SettingsError, match="no version to be compared with but the champion"):
        start_declared_trial(made.settings, "parcel", made.versions[1], mode="shadow", rival=champion)
    end_running_trial(made.settings, "parcel")
    with pytest.raises(RegistryError, match="compared with itself"):
        start_declared_trial(made.settings, "parcel", made.versions[1], rival=made.versions[1])
    against_champion = start_declared_trial(made.settings, "parcel", made.versions[1], rival=champion)
    assert (against_champion.mode, against_champion.share, against_champion.rival_version) == (
        "ab",
        0.5,
        None,
    )
