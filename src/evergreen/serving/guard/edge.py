"""The guard of a service, made of its settings in the worker that answers."""

from __future__ import annotations

from starlette.types import ASGIApp

from evergreen.serving.access.access import load_access
from evergreen.serving.access.listening import find_listening_hosts
from evergreen.serving.guard.body_limits import compute_body_limits
from evergreen.serving.guard.connections import set_header_seconds
from evergreen.serving.guard.guard import Guard
from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.settings import Settings
from evergreen.usecase import UseCase

# BentoML answers this path itself, without the routes of an app that is mounted in it.
SCHEMA_PATH = "/schema.json"


def build_guard(
    app: ASGIApp,
    own_app: ASGIApp,
    settings: Settings,
    use_case: UseCase,
    metrics: RequestMetrics,
) -> Guard:
    """Put a guard around BentoML's `app`. `own_app` is Evergreen's, which is mounted in it.

    Raises SettingsError and UntrustedFolder: see `load_access`.
    """
    set_header_seconds(settings.request_seconds)
    return Guard(
        app,
        load_access(settings, find_listening_hosts()),
        compute_body_limits(use_case),
        settings.request_seconds,
        metrics,
        diverted={SCHEMA_PATH: own_app},
    )
