"""The BentoML service that `evergreen.serving.launch` (or `bentoml serve`) runs: one use case, named by
EVERGREEN_USE_CASE.

Importing this module creates an empty app; the use case is read when BentoML starts its worker. So `bentoml
build` needs neither a use case nor a server.
"""

from __future__ import annotations

import logging
from functools import partial

import bentoml
from bentoml.exceptions import BentoMLConfigException

from evergreen.errors import EvergreenError, SettingsError
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.control import close_control_socket
from evergreen.serving.http.readiness import ReadinessAnswer
from evergreen.settings import Settings, load_settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

app = create_app()


def load_served_use_case() -> tuple[Settings, UseCase]:
    """The settings and the use case to serve. Raises SettingsError or UnknownUseCase."""
    settings = load_settings()
    if not settings.use_case:
        raise SettingsError(
            "no use case is chosen for this service", hint="set EVERGREEN_USE_CASE, for example to titanic"
        )
    return settings, load_use_case(settings.use_case, settings)


@bentoml.asgi_app(app, path="/")
class PredictionService:
    """Typed predictions for one use case, with its own hot-swapped champion and prediction log."""

    def __init__(self) -> None:
        # Here, because BentoML's parent process imports this module and must not load the model's libraries.
        from evergreen.serving.models.model_state import describe_readiness
        from evergreen.serving.runtime import Runtime

        # BentoML sets the root logger to warnings; Evergreen's also logs what succeeds.
        logging.getLogger("evergreen").setLevel(logging.INFO)
        settings, use_case = load_served_use_case()
        self.runtime = Runtime(settings, use_case)
        configure_app(app, self.runtime)
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
            load_served_use_case()
        except EvergreenError as error:
            raise BentoMLConfigException(str(error)) from None

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Begin to serve: the champion is loaded in the background."""
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
    # Both are on the request path (see docs/architecture.md); /metrics counts every request anyway.
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": [".*"]},
)(PredictionService)
service.add_asgi_middleware(ReadinessAnswer, state=app.state)
