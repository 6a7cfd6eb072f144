"""The BentoML service that `evergreen.serving.launch` (or `bentoml serve`) runs: one use case, named by
EVERGREEN_USE_CASE.

Importing this module creates an empty app; the use case is read when BentoML starts its worker. So `bentoml
build` needs neither a use case nor a server.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLConfigException
from starlette.types import ASGIApp

from evergreen.errors import EvergreenError, SettingsError
from evergreen.serving.access.access import load_access
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.control import (
    call_with_arbiter,
    check_addresses,
    close_control_socket,
    refuse_connections_at_the_end,
)
from evergreen.serving.fast.bentoml_app import put_in_front
from evergreen.serving.fast.direct import DirectAnswers
from evergreen.serving.fast.direct_protocol import answer_directly, find_protocol
from evergreen.serving.fast.fast_path import FastPath
from evergreen.serving.fast.front import Front
from evergreen.serving.following.fingerprint import compute_fingerprint
from evergreen.serving.following.retirement import hand_over_when_retired
from evergreen.serving.following.start_following import start_following
from evergreen.serving.guard.connections import use_protocol
from evergreen.serving.guard.edge import build_guard
from evergreen.serving.http.readiness import ReadinessAnswer
from evergreen.serving.metrics.metric_files import archive_dead_files
from evergreen.serving.metrics.metrics_page import find_metric_folder
from evergreen.serving.metrics.request_metrics import RequestMetrics
from evergreen.serving.processor_turns import take_short_turns
from evergreen.serving.service_log import configure_log, configure_parent_log
from evergreen.settings import Settings, load_settings
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from evergreen.usecases import find_use_case_folders, load_use_case

# As long as this a thread that computes, such as that of a large batch, keeps the event loop waiting for the
# interpreter; Python's default is 5 ms.
_SWITCH_SECONDS = 0.001

app = create_app()
front = Front()


def load_served_use_case() -> tuple[Settings, UseCase]:
    """The settings and the use case to serve. Raises SettingsError or UnknownUseCase."""
    settings = load_settings()
    if not settings.use_case:
        raise SettingsError(
            "no use case is chosen for this service", hint="set EVERGREEN_USE_CASE, for example to titanic"
        )
    return settings, load_use_case(settings.use_case, settings)


def load_followed_use_case() -> None:
    """Load the use case in the parent process, which follows its declaration from then on, if it is set to.

    Raises what `load_served_use_case` raises.
    """
    settings = load_settings()
    folder = find_use_case_folders(settings).get(settings.use_case)
    # Before it is loaded, because the files may be edited meanwhile.
    fingerprint = compute_fingerprint(folder) if folder else frozenset()
    _, use_case = load_served_use_case()
    if folder is not None and settings.follow_declaration:
        held = compute_serving_digest(use_case)

        def follow(arbiter: Any) -> None:
            configure_parent_log(settings)
            start_following(arbiter, folder, fingerprint, held)

        call_with_arbiter(follow)


def check_exposure(hosts: Sequence[str]) -> None:
    """Refuse to start where others would reach a service that asks for no key."""
    try:
        load_access(load_settings(), hosts)
    except EvergreenError as error:
        raise BentoMLConfigException(str(error)) from None


def build_guarded_app(inner_app: ASGIApp) -> ASGIApp:
    """The guard around an app; made in the worker, which knows its settings and its address."""
    settings, use_case = load_served_use_case()
    guard = build_guard(inner_app, app, settings, use_case, get_request_metrics(use_case.name))
    answer_directly(DirectAnswers(guard, front))
    return guard


def wrap_app(bento_app: ASGIApp) -> ASGIApp:
    """What is served instead of BentoML's app: the guard, behind it the fast path, and then that app."""
    return build_guarded_app(front.wrap_app(bento_app))


@functools.cache
def get_request_metrics(use_case_name: str) -> RequestMetrics:
    """The worker's metrics of requests: the guard counts with them, and the app what it refuses."""
    return RequestMetrics(use_case_name)


@bentoml.asgi_app(app, path="/")
class PredictionService:
    """Typed predictions for one use case, with its own hot-swapped champion and prediction log."""

    def __init__(self) -> None:
        # Here, because BentoML's parent process imports this module and must not load the model's libraries.
        from evergreen.serving.models.model_state import describe_readiness
        from evergreen.serving.runtime import Runtime

        settings, use_case = load_served_use_case()
        configure_log(settings)
        sys.setswitchinterval(_SWITCH_SECONDS)
        take_short_turns(os.getpid())  # the main thread, which runs the event loop
        self.runtime = Runtime(
            settings, use_case, observe_refused=get_request_metrics(use_case.name).count_refused
        )
        configure_app(app, self.runtime)
        front.fast_path = FastPath(self.runtime)
        if (folder := find_metric_folder()) is not None:
            archive_dead_files(folder)
        app.state.describe_readiness = partial(describe_readiness, self.runtime.slot)

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse to start where every worker would fail, with one readable error.

        BentoML runs this in the parent process before it creates the circus arbiter, also where a plain
        `bentoml serve` started it, as in the container of a built bento.
        """
        try:
            close_control_socket()
            refuse_connections_at_the_end()
            check_addresses(check_exposure)
            load_followed_use_case()
        except EvergreenError as error:
            raise BentoMLConfigException(str(error)) from None

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Begin to serve: the champion is loaded in the background, but before the first answer in a worker
        that is to take over from another one."""
        self.runtime.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Drain the prediction log after the last request."""
        self.runtime.stop()

    def __is_ready__(self) -> bool:
        return self.runtime.slot.current is not None


service = bentoml.service(
    name="evergreen",
    workers=1,
    # All three are on the request path (see docs/architecture.md), and BentoML's metrics are labelled by the
    # path that was sent. The guard counts every request instead.
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": [".*"]},
    metrics={"enabled": False},
)(PredictionService)
service.add_asgi_middleware(ReadinessAnswer, state=app.state)
if not put_in_front(service, wrap_app):
    service.add_asgi_middleware(build_guarded_app)
use_protocol(find_protocol())
hand_over_when_retired()
