"""The OpenAPI document of a service: FastAPI's, with exact bounds, the routes that are BentoML's, the answers
that the guard may give, the headers that are read, and how a caller signs in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from evergreen.serving.calls.exchange import CHANNEL_HEADER, IDEMPOTENCY_HEADER
from evergreen.serving.channels import ONLINE, PROBE_CHANNEL
from evergreen.serving.guard.routes import ROUTES, Route, find_route

Document: TypeAlias = dict[str, Any]

_BIGINT = 2**63
_OTHER_ROUTES = {
    "/livez": "The process is alive.",
    "/healthz": "The process is alive.",
    "/readyz": "200 when a champion is in service, 503 before.",
    "/metrics": "Prometheus metrics.",
}
_HEALTH = {"503": {"description": "No champion is in service."}}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_REFUSALS = {
    "401": "No valid API key, where the service asks for one.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "421": "The header Host names another server.",
    "431": "The headers are too large, or too many.",
}
_ID_HEADER = {
    "X-Request-ID": {"description": "The id of the request, as the log has it.", "schema": {"type": "string"}}
}


def _describe_header(name: str, text: str, **schema: Any) -> Document:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string", **schema}}


_TRACE_HEADERS = [
    _describe_header("X-Request-ID", "The id to handle the request under; a malformed one is left aside."),
    _describe_header("traceparent", "W3C trace context, whose trace id is the id where there is no other."),
]
_PREDICTION_HEADERS = [
    _describe_header(
        IDEMPOTENCY_HEADER,
        "A new UUIDv7, the same for every attempt at one request: the id of its prediction, which is logged"
        " once. Another value is left aside.",
    ),
    _describe_header(
        CHANNEL_HEADER, "What the prediction is logged as.", enum=[ONLINE, PROBE_CHANNEL], default=ONLINE
    ),
]
_PREDICTIONS = frozenset({"/predict", "/predict_batch", "/predict_by_key"})


def build_document(app: FastAPI, *, keys_required: bool, metrics_open: bool = False) -> Document:
    """The document of an app. With `keys_required` every documented call but health needs a key, and, with
    `metrics_open`, but /metrics.
    """
    document = get_openapi(
        title=app.title, version=read_package_version(), description=app.description, routes=app.routes
    )
    for path, text in _OTHER_ROUTES.items():
        answers = {"200": {"description": text}} | (_HEALTH if path == "/readyz" else {})
        document["paths"][path] = {"get": {"summary": text, "tags": ["service"], "responses": answers}}
    document["components"]["securitySchemes"] = _SCHEMES
    signed_in: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    document["security"] = signed_in if keys_required else [{}, *signed_in]
    for route, operation in _list_operations(document):
        if route.access == "health" or (route.access == "metrics" and metrics_open):
            operation["security"] = []
        _add_refusals(operation, route)
        _add_headers(operation, route)
    _restore_whole_numbers(document["components"]["schemas"])
    return document


def read_package_version() -> str:
    """The version of Evergreen that serves."""
    try:
        return version("evergreen")
    except PackageNotFoundError:  # a bento has the sources without an installed package
        return "unpackaged"


def _list_operations(document: Document) -> Iterator[tuple[Route, Document]]:
    known = {route.template for route in ROUTES}
    for path, operations in document["paths"].items():
        route = find_route(path)
        if route is not None and path in known:
            for operation in operations.values():
                yield route, operation


def _add_refusals(operation: Document, route: Route) -> None:
    """Document what the guard may answer in the place of the app."""
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    for status, text in _REFUSALS.items():
        needs_body = status in ("408", "413")
        if (needs_body and route.body == "none") or (status == "401" and route.access == "health"):
            continue
        answer = {"description": text, "content": {"application/json": {"schema": schema}}}
        operation["responses"].setdefault(status, answer)


def _add_headers(operation: Document, route: Route) -> None:
    """Document the headers that the service reads, and the one that each of its answers has."""
    headers = [*_TRACE_HEADERS, *(_PREDICTION_HEADERS if route.template in _PREDICTIONS else ())]
    operation["parameters"] = [*operation.get("parameters", ()), *headers]
    operation["responses"] = {
        status: {**answer, "headers": {**answer.get("headers", {}), **_ID_HEADER}}
        for status, answer in operation["responses"].items()
    }


def _restore_whole_numbers(part: Any) -> None:
    """Write bounds of whole numbers as such: FastAPI makes floats of them, and so rounds those of 64 bits."""
    if isinstance(part, list):
        for each in part:
            _restore_whole_numbers(each)
    elif isinstance(part, dict):
        if part.get("type") == "integer":
            for name in ("minimum", "maximum"):
                if isinstance(part.get(name), float):
                    part[name] = min(int(part[name]), _BIGINT - 1)
        for each in part.values():
            _restore_whole_numbers(each)
