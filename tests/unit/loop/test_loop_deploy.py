"""Deploy's judgement: what counts as a good answer, and what follows from a bad one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evergreen.errors import ServiceUnreachable
from evergreen.loop import deploy
from evergreen.settings import Settings
from evergreen.usecase import UseCase

OWN = {"prediction": "no", "probability": 0.75, "probabilities": {"no": 0.75, "yes": 0.25}}


def served(version: int = 3, **changes: Any) -> dict[str, Any]:
    return {"model_version": version, **OWN, **changes}


def test_the_same_answer_is_no_difference() -> None:
    assert deploy._describe_difference(served(), OWN, 3) == ""
    tiny = {"no": 0.75 + 1e-12, "yes": 0.25 - 1e-12}
    assert deploy._describe_difference(served(probabilities=tiny), OWN, 3) == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (served(version=2), "version 2 answered instead of 3"),
        (served(prediction="yes"), "'yes' instead of 'no'"),
        (served(probabilities={"no": 0.7501, "yes": 0.2499}), "differ by up to 0.0001"),
    ],
)
def test_another_answer_is_described(answer: dict[str, Any], says: str) -> None:
    assert says in deploy._describe_difference(answer, OWN, 3)


def test_numbers_are_compared_relative_to_their_size() -> None:
    assert (
        deploy._describe_difference({"model_version": 1, "prediction": 1e9 + 1e-4}, {"prediction": 1e9}, 1)
        == ""
    )
    assert deploy._describe_difference({"model_version": 1, "prediction": 2.1}, {"prediction": 2.0}, 1) != ""


def test_a_clean_canary_is_accepted_without_touching_anything() -> None:
    clean = {"model_version": 3, "rows": 100, "errors": 0, "mismatches": 0, "examples": []}
    nowhere = Settings(mariadb_port=1, mlflow_tracking_uri="http://127.0.0.1:9")
    assert deploy.finalize_deployment(nowhere, "parcel", clean) == {"model_version": 3, "rows": 100}


def test_an_unknown_address_says_what_to_set() -> None:
    with pytest.raises(ServiceUnreachable, match="parcel") as caught:
        deploy.wait_until_healthy(Settings(), "parcel")
    assert "EVERGREEN_SERVICE_URLS" in caught.value.hint


def test_a_service_that_never_comes_is_given_up_in_time() -> None:
    settings = Settings(service_urls={"parcel": "http://127.0.0.1:9"})
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9"):
        deploy.wait_until_healthy(settings, "parcel", timeout_seconds=0.1)


def test_logged_rows_that_a_rule_of_today_refuses_are_not_sent(
    toy_use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {"client_id": 1, "age": 40, "visits": 3, "spend": None, "segment": "web", "mood": "new"}
    logged = [sound, sound | {"age": 130}, sound | {"visits": None}, sound | {"segment": "fax"}]
    monkeypatch.setattr("evergreen.store.connection.database.get_engine", lambda _: None)
    monkeypatch.setattr(
        "evergreen.store.predictions.prediction_log.read_recent_inputs", lambda *_, **__: logged
    )
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert deploy._collect_probe_rows(Settings(), toy_use_case, 1, now)[deploy.DRAWN_PROBE_ROWS :] == [sound]
    (view,) = toy_use_case.views
    features = tuple(replace(feature, severity="warning") for feature in view.features)
    guessed = replace(toy_use_case, views=(replace(view, features=features),))
    assert deploy._collect_probe_rows(Settings(), guessed, 1, now)[deploy.DRAWN_PROBE_ROWS :] == logged
