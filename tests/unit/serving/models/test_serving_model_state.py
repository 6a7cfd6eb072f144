"""/readyz and the model's part of /metadata: which model serves, where it came from, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from evergreen.errors import RegistryUnreachable
from evergreen.serving.http.readiness import ReadinessAnswer
from evergreen.serving.models.model_state import describe_model_state, describe_readiness
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ModelSlot, ServedModel

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EARLIER = datetime(2026, 5, 1, tzinfo=UTC)


def model(version: int, *warnings: str) -> Any:
    return SimpleNamespace(version=version, run_id="run", digest="ab12", warnings=warnings, promoted_at=None)


def slot_of(read_champion: Callable[[], Any], **options: Any) -> ModelSlot:
    return ModelSlot(
        read_champion,
        lambda version: model(version, "not on record"),
        poll_seconds=1,
        clock=lambda: NOW,
        **options,
    )


def away() -> Any:
    raise RegistryUnreachable("MLflow does not answer")


def cached() -> ServedModel:
    return ServedModel(model(3), None, loaded_at=NOW, verified_at=EARLIER)


@pytest.fixture
def refusals() -> RefusalLog:
    return RefusalLog(lambda _: None)


def test_before_a_model_and_with_one(refusals: RefusalLog) -> None:
    slot = slot_of(lambda: model(4))
    assert describe_readiness(slot) == {"status": "not ready", "model_version": None, "cached": None}
    slot.check()
    assert describe_readiness(slot) == {"status": "ready", "model_version": 4, "cached": None}
    assert describe_model_state(slot, refusals) == {
        "model_digest": "ab12",
        "model_warnings": ["not on record"],
        "cached": None,
        "refused": None,
    }


def test_the_last_champion_says_since_when(refusals: RefusalLog) -> None:
    slot = slot_of(away, load_cached_model=lambda _: cached())
    slot.check()
    moments = {"since": NOW.isoformat(), "verified_at": EARLIER.isoformat()}
    assert describe_readiness(slot) == {"status": "ready", "model_version": 3, "cached": moments}
    assert describe_model_state(slot, refusals)["cached"] == moments


def test_only_the_champions_refusal_is_shown(refusals: RefusalLog) -> None:
    champion = model(4)
    slot = slot_of(lambda: champion)
    slot.check()
    refusals.report(Refusal(5, "run", "another file", NOW, "look"))
    assert describe_model_state(slot, refusals)["refused"] is None
    champion = model(5)
    slot.check()
    shown = {"version": 5, "reason": "another file", "hint": "look", "at": NOW.isoformat()}
    assert describe_model_state(slot, refusals)["refused"] == shown


def test_readyz_is_answered_in_front_of_the_app_and_nothing_else_is() -> None:
    async def behind(request: Request) -> Response:
        return PlainTextResponse(f"app: {request.url.path}")

    app = Starlette(routes=[Route("/{path:path}", behind, methods=["GET", "POST"])])
    app.add_middleware(ReadinessAnswer, state=app.state)
    slot = slot_of(lambda: model(4))
    with TestClient(app) as client:
        assert client.get("/readyz").text == "app: /readyz"
        app.state.describe_readiness = partial(describe_readiness, slot)
        response = client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "not ready")
        slot.check()
        response = client.get("/readyz")
        assert (response.status_code, response.json()["model_version"]) == (200, 4)
        assert response.headers["cache-control"] == "no-store"
        assert (client.head("/readyz").status_code, client.head("/readyz").text) == (200, "")
        assert client.post("/readyz").text == "app: /readyz"
        assert client.get("/readyz/more").text == "app: /readyz/more"
