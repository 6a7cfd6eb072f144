"""A service's guard for tests without a process: around any app, with the settings that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from evergreen.serving.access.access import load_access
from evergreen.serving.guard.body_limits import compute_body_limits
from evergreen.serving.guard.guard import Guard
from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.settings import Settings
from evergreen.usecase import UseCase

# The name by which httpx' and Starlette's test clients call an app.
TEST_HOST = "testserver"


def build_test_guard(
    app: ASGIApp,
    use_case: UseCase,
    home: Path,
    *,
    listening: Sequence[str] = ("127.0.0.1",),
    registry: CollectorRegistry | None = None,
    diverted: Mapping[str, ASGIApp] | None = None,
    **settings: Any,
) -> Guard:
    chosen = Settings(home=home, **{"allowed_hosts": TEST_HOST, **settings})
    return Guard(
        app,
        load_access(chosen, listening),
        compute_body_limits(use_case),
        chosen.request_seconds,
        RequestMetrics(use_case.name, registry or CollectorRegistry()),
        diverted,
    )
