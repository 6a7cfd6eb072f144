"""An installed BentoML or uvicorn that lacks what is used of its private code: told, and left as it is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import uvicorn.config

from evergreen.serving.fast.bentoml_app import put_in_front
from evergreen.serving.guard.connections import LimitedProtocol, use_protocol
from support.uvicorn_server import own_protocols


class Service:
    """A service whose class makes its app as BentoML's does."""

    def to_asgi(self, name: str = "app", *, is_main: bool = False) -> Any:
        return (name, is_main)


def wrap(app: Any) -> Any:
    return ("in front", app)


def refuse() -> None:
    raise AssertionError("nothing is prepared for an app that is not put in front")


@pytest.mark.parametrize("attributes", [{}, {"to_asgi": None}], ids=["no such method", "no method"])
def test_a_bentoml_without_the_method_is_told_and_left_as_it_is(
    attributes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    other = type("Other", (), attributes)
    before = dict(vars(other))
    with caplog.at_level(logging.WARNING):
        assert put_in_front(other(), refuse, wrap) is False
    assert dict(vars(other)) == before
    assert "slow path" in caplog.text


def test_the_app_goes_in_front_of_that_service_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "to_asgi", Service.to_asgi)
    mine, other = Service(), Service()
    prepared: list[str] = []
    assert put_in_front(mine, lambda: prepared.append("before"), wrap) is True
    assert other.to_asgi() == ("app", False)
    assert prepared == []
    assert mine.to_asgi("mine", is_main=True) == ("in front", ("mine", True))  # type: ignore[comparison-overlap]
    assert prepared == ["before"]


def test_the_installed_bentoml_has_the_method() -> None:
    from _bentoml_sdk.service import Service as BentoService

    assert callable(BentoService.to_asgi)


def test_without_a_protocol_class_uvicorn_keeps_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with own_protocols() as patch:
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "uvicorn's own")
        with caplog.at_level(logging.WARNING):
            assert use_protocol(None) is False
        assert uvicorn.config.HTTP_PROTOCOLS["auto"] == "uvicorn's own"
        assert "not limited" in caplog.text
        assert use_protocol(LimitedProtocol) is True
        assert uvicorn.config.HTTP_PROTOCOLS["auto"].endswith(":LimitedProtocol")
