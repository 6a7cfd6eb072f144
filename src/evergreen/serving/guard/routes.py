"""Every path that a service answers, with its methods: what the guard, the metrics and the page go by.

A path that is not here reaches neither the app nor BentoML. A unit test compares the table with both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Access = Literal["key", "health", "metrics"]
BodySize = Literal["none", "row", "rows"]

_READ: Final = ("GET",)
_READ_OR_HEAD: Final = ("GET", "HEAD")
_SEND: Final = ("POST",)


@dataclass(frozen=True)
class Route:
    """One path, or every path below a folder (`template` ends with a name in braces).

    `access` says who may call it where keys are required: who has a key, everybody ("health"), or what
    EVERGREEN_METRICS_ACCESS says. `body` is how much it takes: nothing, one row, or as many as a batch has.
    """

    template: str
    methods: tuple[str, ...] = _READ
    access: Access = "key"
    body: BodySize = "none"


ROUTES: Final = (
    Route("/predict", _SEND, body="row"),
    Route("/predict_batch", _SEND, body="rows"),
    Route("/predict_by_key", _SEND, body="rows"),
    Route("/explain", _SEND, body="row"),
    Route("/feedback", _SEND, body="row"),
    Route("/feedback_batch", _SEND, body="rows"),
    Route("/metadata"),
    Route("/"),
    Route("/docs"),
    Route("/openapi.json"),
    Route("/docs.json"),
    Route("/schema.json"),
    Route("/livez", _READ_OR_HEAD, "health"),
    Route("/healthz", _READ_OR_HEAD, "health"),
    Route("/readyz", _READ_OR_HEAD, "health"),
    Route("/metrics", _READ, "metrics"),
)
STATIC = Route("/static_content/{file}", _READ_OR_HEAD)
_STATIC_FOLDER: Final = "/static_content/"
_BY_PATH: Final = {route.template: route for route in ROUTES}


def find_route(path: str) -> Route | None:
    """The route of a path, None for an unknown one."""
    route = _BY_PATH.get(path)
    if route is None and path.startswith(_STATIC_FOLDER):
        return STATIC
    return route
