"""How a service stands to the champion and the declaration of now, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evergreen.registry.champion import Champion
from evergreen.serving.standing import ServiceStatus, build_service_status, format_container_name
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
URL = "http://127.0.0.1:1"


def metadata(parcel: UseCase, **changes: Any) -> dict[str, Any]:
    return {
        "model_version": 1,
        "declaration": compute_serving_digest(parcel),
        "started_at": LONG_AGO.isoformat(),
        "trouble": "",
        **changes,
    }


def standing(
    parcel: UseCase, champion: int | None = 1, since: datetime = LONG_AGO, **changes: Any
) -> ServiceStatus:
    named = Champion(champion, "run", since) if champion else None
    return build_service_status(metadata(parcel, **changes), URL, parcel, named, NOW)


def test_a_service_of_now_does_not_lag(parcel: UseCase) -> None:
    found = standing(parcel)
    assert not found.lags
    assert (found.describe(), found.remedy) == ("serves v1", "")


def test_an_older_declaration_and_another_model_are_named_with_the_remedy(parcel: UseCase) -> None:
    found = standing(parcel, 3, declaration="a1b2c3d4e5", trouble="version 3 does not fit")
    now = compute_serving_digest(parcel)[:7]
    assert found.describe() == (
        "serves v1, champion is v3; holds an older declaration"
        f" (a1b2c3d, now {now}): evergreen restart parcel"
    )
    assert found.lags
    assert found.to_json()["trouble"] == "version 3 does not fit"
    assert found.to_json()["remedy"] == "evergreen restart parcel"


@pytest.mark.parametrize(
    ("changes", "lags", "says"),
    [
        ({"since": NOW}, False, "serves v1, champion is v3, which it takes over within seconds"),
        ({"started_at": NOW.isoformat(), "model_version": None}, False, "serves no model, champion is v3"),
        ({"since": NOW, "trouble": "it is broken"}, True, "champion is v3; it is broken"),
        ({}, True, "serves v1, champion is v3: evergreen restart parcel"),
        ({"trouble": "it does not fit"}, True, "serves v1, champion is v3; it does not fit"),
    ],
)
def test_a_champion_of_a_moment_ago_is_waited_for(
    parcel: UseCase, changes: dict[str, Any], lags: bool, says: str
) -> None:
    found = standing(parcel, 3, **changes)
    assert found.lags is lags
    assert says in found.describe()


def test_without_a_champion_a_model_that_answers_is_not_behind(parcel: UseCase) -> None:
    assert not standing(parcel, None, trouble="the registry names no champion").lags


def test_a_service_of_an_earlier_version_tells_no_declaration(parcel: UseCase) -> None:
    told = metadata(parcel)
    del told["declaration"]
    assert not build_service_status(told, URL, parcel, Champion(1, "run", LONG_AGO), NOW).outdated


def test_a_changed_declaration_makes_a_running_service_outdated(parcel: UseCase) -> None:
    view = parcel.views[0]
    weight = replace(view.features[0], maximum=500)
    wider = replace(parcel, views=(replace(view, features=(weight, *view.features[1:])),))
    assert build_service_status(metadata(parcel), URL, wider, Champion(1, "run", LONG_AGO), NOW).outdated


def test_a_service_that_follows_its_declaration_is_waited_for(parcel: UseCase) -> None:
    found = standing(parcel, 3, declaration="a1b2c3d4e5", follows_declaration=True, trouble="v3 does not fit")
    now = compute_serving_digest(parcel)[:7]
    assert found.describe() == (
        f"serves v1, champion is v3; holds an older declaration (a1b2c3d, now {now})"
        " and takes over the present one within seconds"
    )
    assert (found.following, found.lags, found.remedy) == (True, False, "")


def test_a_refused_declaration_is_told_with_what_to_do(parcel: UseCase) -> None:
    refused = {"declaration": "d4", "reason": "v1 does not fit", "hint": "train it again", "at": "2026-06-01"}
    changes = {"follows_declaration": True, "declaration_refused": refused}
    found = standing(parcel, declaration="a1b2c3d4e5", **changes)
    now = compute_serving_digest(parcel)[:7]
    assert found.describe() == (
        f"serves v1; holds an older declaration (a1b2c3d, now {now}),"
        " because it refuses the present one: v1 does not fit; train it again"
    )
    assert (found.following, found.lags, found.remedy) == (False, True, "train it again")
    # The change was undone, and the service has not looked since.
    assert not standing(parcel, **changes).lags


def test_the_containers_name_is_the_one_of_the_compose_file() -> None:
    assert format_container_name("credit_score") == "service-credit-score"


def test_a_cached_model_and_a_refused_file_are_told(parcel: UseCase) -> None:
    cached = {"since": "2026-05-31T22:10:05+00:00", "verified_at": "2026-05-01T00:00:00+00:00"}
    found = standing(parcel, None, cached=cached, trouble="MLflow does not answer")
    assert found.describe() == ("serves v1 from its cache since 2026-05-31 22:10 UTC; MLflow does not answer")
    assert found.to_json()["cached_since"] == cached["since"]
    refused = {"version": 1, "reason": "parcel version 1 has another file", "at": cached["since"]}
    found = standing(parcel, refused=refused, cached=None)
    assert found.describe() == "serves v1; it serves its own copy, because parcel version 1 has another file"
    assert found.to_json()["refused"] == refused["reason"]
    assert not found.lags
