"""What a worker of the service answers with: the app, the fast path before it, and the guard around both.

Only workers import this module. BentoML's parent process, which answers no request, would load FastAPI, NumPy
and uvicorn for nothing.
"""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from evergreen.serving.app import configure_app, create_app
from evergreen.serving.fast.direct import DirectAnswers
from evergreen.serving.fast.direct_protocol import answer_directly, find_protocol
from evergreen.serving.fast.fast_path import FastPath
from evergreen.serving.fast.front import Front
from evergreen.serving.following.retirement import hand_over_when_retired
from evergreen.serving.guard.connections import use_protocol
from evergreen.serving.guard.edge import build_guard
from evergreen.serving.metrics.metric_files import archive_dead_files
from evergreen.serving.metrics.metrics_page import find_metric_folder
from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.serving.models.model_state import describe_readiness
from evergreen.settings import Settings
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from evergreen.serving.runtime import Runtime

# Empty until `configure_app` fills it, because a worker makes its app before its runtime.
app = create_app()
front = Front()


def prepare_connections() -> None:
    """Have uvicorn read requests as the service needs it, and hand over connections at a worker's end.

    Called before uvicorn's server is made.
    """
    use_protocol(find_protocol())
    hand_over_when_retired()


def build_guarded_app(inner_app: ASGIApp, settings: Settings, use_case: UseCase) -> ASGIApp:
    """The guard around an app. Raises SettingsError and UntrustedFolder: see `load_access`."""
    guard = build_guard(inner_app, app, settings, use_case, get_request_metrics(use_case.name))
    answer_directly(DirectAnswers(guard, front))
    return guard


def open_routes(runtime: Runtime) -> None:
    """Answer with that runtime from now on. The files of metrics that workers of before left become one."""
    configure_app(app, runtime)
    front.fast_path = FastPath(runtime)
    if (folder := find_metric_folder()) is not None:
        archive_dead_files(folder)
    app.state.describe_readiness = partial(describe_readiness, runtime.slot)


@functools.cache
def get_request_metrics(use_case_name: str) -> RequestMetrics:
    """The worker's metrics of requests: the guard counts with them, and the app what it refuses."""
    return RequestMetrics(use_case_name)
