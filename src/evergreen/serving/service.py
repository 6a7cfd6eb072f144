"""The BentoML service that `evergreen.serving.launch` (or `bentoml serve`) runs: one use case, named by
EVERGREEN_USE_CASE.

Importing this module reads no use case and loads nothing that answers requests: BentoML's parent process and
`bentoml build` import it too, and need neither. A worker loads `worker.py` when BentoML makes its app.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLConfigException
from starlette.types import ASGIApp

from evergreen.errors import EvergreenError, SettingsError
from evergreen.serving.access.access import load_access
from evergreen.serving.control import (
    call_with_arbiter,
    check_addresses,
    close_control_socket,
    refuse_connections_at_the_end,
)
from evergreen.serving.fast.bentoml_app import put_in_front
from evergreen.serving.following.fingerprint import compute_fingerprint
from evergreen.serving.following.start_following import start_following
from evergreen.serving.http.readiness import ReadinessAnswer
from evergreen.serving.processor_turns import take_short_turns
from evergreen.serving.service_log import configure_log, configure_parent_log
from evergreen.settings import Settings, load_settings
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest
from evergreen.usecases import find_use_case_folders, load_use_case

# As long as this a thread that computes, such as that of a large batch, keeps the event loop waiting for the
# interpreter; Python's default is 5 ms.
_SWITCH_SECONDS = 0.001


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


def load_worker() -> ModuleType:
    """The module `evergreen.serving.worker`, loaded at the first call: only a worker calls this."""
    # Not at the top, because BentoML's parent process imports this module: 0.3 s of processor time.
    from evergreen.serving import worker

    return worker


def prepare_worker() -> None:
    """Give the service its app, before BentoML makes the one that it serves."""
    worker = load_worker()
    service.mount_asgi_app(worker.app, path="/")
    service.add_asgi_middleware(ReadinessAnswer, state=worker.app.state)
    worker.prepare_connections()


def build_guarded_app(inner_app: ASGIApp) -> ASGIApp:
    """The guard around an app; made in the worker, which knows its settings and its address."""
    app: ASGIApp = load_worker().build_guarded_app(inner_app, *load_served_use_case())
    return app


def wrap_app(bento_app: ASGIApp) -> ASGIApp:
    """What is served instead of BentoML's app: the guard, behind it the fast path, and then that app."""
    return build_guarded_app(load_worker().front.wrap_app(bento_app))


class PredictionService:
    """Typed predictions for one use case, with its own hot-swapped champion and prediction log."""

    def __init__(self) -> None:
        # Here, because BentoML's parent process imports this module and must not load the model's libraries.
        from evergreen.serving.runtime import Runtime

        settings, use_case = load_served_use_case()
        configure_log(settings)
        sys.setswitchinterval(_SWITCH_SECONDS)
        take_short_turns(os.getpid())  # the main thread, which runs the event loop
        worker = load_worker()
        count_refused = worker.get_request_metrics(use_case.name).count_refused
        self.runtime = Runtime(settings, use_case, observe_refused=count_refused)
        worker.open_routes(self.runtime)

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
if not put_in_front(service, prepare_worker, wrap_app):
    prepare_worker()
    service.add_asgi_middleware(build_guarded_app)
