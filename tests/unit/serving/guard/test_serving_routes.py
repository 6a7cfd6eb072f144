"""The table of routes is what the app and BentoML really have."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from evergreen.serving.app import configure_app, create_app
from evergreen.serving.guard.routes import ROUTES, STATIC, find_route
from evergreen.usecase import UseCase

HEALTH = {"/livez", "/healthz", "/readyz"}


def test_every_route_of_the_app_is_in_the_table_with_its_methods(parcel: UseCase) -> None:
    class Runtime:
        use_case = parcel
        count_refused = None
        read_vectors = None

    app = configure_app(create_app(), Runtime())  # type: ignore[arg-type]
    own = {route.path: set(route.methods) for route in app.routes if isinstance(route, APIRoute)}
    table = {route.template: set(route.methods) for route in ROUTES if route.template not in HEALTH}
    assert own == table


def test_every_other_route_is_bentomls() -> None:
    from evergreen.serving.service import service

    build_app = type(service).to_asgi.__wrapped__  # without what is put in front of it
    named = {route.path for route in build_app(service, is_main=True).routes if hasattr(route, "path")}
    assert named >= HEALTH
    assert "/static_content" in named
    assert "/metrics" not in named


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/predict", "/predict"),
        ("/static_content/swagger-ui.css", STATIC.template),
        ("/predict/", None),
        ("/PREDICT", None),
        ("//predict", None),
        ("", None),
    ],
)
def test_a_path_has_one_template(path: str, template: str | None) -> None:
    route = find_route(path)
    assert (route.template if route else None) == template
