"""The demo restarts a service that holds an older declaration, and says so."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from evergreen.demo import service
from evergreen.demo.stages import Stage
from evergreen.errors import DemoError, ServiceUnreachable
from evergreen.serving.access.key_file import add_key
from evergreen.serving.standing import ServiceStatus
from evergreen.settings import Settings
from evergreen.usecase import UseCase

SETTINGS = Settings(service_urls={"toy": "http://127.0.0.1:1"})


def standing(declaration: str) -> ServiceStatus:
    return ServiceStatus("toy", "http://127.0.0.1:1", 1, None, declaration, "d4e5f6789", "")


def answer(monkeypatch: pytest.MonkeyPatch, found: ServiceStatus | Exception) -> None:
    def look(*_: object) -> ServiceStatus:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(service, "read_service_status", look)


@pytest.mark.parametrize("found", [standing("d4e5f6789"), standing(""), ServiceUnreachable("nobody")])
def test_a_service_of_now_of_an_earlier_version_or_none_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, toy_use_case: UseCase, found: ServiceStatus | Exception
) -> None:
    answer(monkeypatch, found)
    assert service.find_outdated_service(SETTINGS, toy_use_case) is None
    service.refuse_outdated_service(SETTINGS, toy_use_case)
    assert service.find_outdated_service(Settings(), toy_use_case) is None


def test_an_outdated_service_is_restarted_and_the_stage_says_why(
    monkeypatch: pytest.MonkeyPatch, toy_use_case: UseCase, tmp_path: Path
) -> None:
    answer(monkeypatch, standing("a1b2c3d4e"))
    asked: list[Any] = []
    monkeypatch.setattr(
        service, "restart_named_server", lambda home, name, **how: asked.append((home, name, how["force"]))
    )
    found = service.find_outdated_service(SETTINGS, toy_use_case)
    assert found is not None
    stage = Stage("the service takes up the declaration", 0.0)
    service.restart_outdated_service(tmp_path, found, stage)
    assert asked == [(tmp_path, "toy", True)]
    assert stage.happened == "it held an older declaration (a1b2c3d, now d4e5f67): restarted"


def test_where_the_stack_is_not_ours_the_demo_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, toy_use_case: UseCase
) -> None:
    answer(monkeypatch, standing("a1b2c3d4e"))
    with pytest.raises(DemoError, match=r"older declaration \(a1b2c3d, now d4e5f67\)") as caught:
        service.refuse_outdated_service(SETTINGS, toy_use_case)
    assert "docker compose restart service-toy" in caught.value.hint


def test_the_example_request_can_be_typed(tmp_path: Path) -> None:
    """With the key that a service beyond loopback wants, and one on loopback once somebody has a key."""
    settings = Settings(home=tmp_path, api_key=SecretStr("eg_the_platforms_own_key"))
    quiet = service.format_example_request(settings, "http://127.0.0.1:1", {"id": 1})
    assert quiet == (
        "curl http://127.0.0.1:1/predict_by_key -H 'content-type: application/json'"
        """ -d '{"data": {"id": 1}}'"""
    )
    sign_in = '-H "Authorization: Bearer $EVERGREEN_API_KEY"'
    assert sign_in in service.format_example_request(settings, "http://service-toy:3000", {"id": 1})
    add_key(settings.api_keys_path, "shop")
    assert sign_in in service.format_example_request(settings, "http://127.0.0.1:1", {"id": 1})
    odd = service.format_example_request(settings, "http://127.0.0.1:1", {"name": "O'Hara"})
    assert shlex.split(odd)[-1] == '{"data": {"name": "O\'Hara"}}'
