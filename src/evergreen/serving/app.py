"""The FastAPI app of one use case: its routes, made from the declaration. BentoML serves it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from pydantic import BaseModel
from pydantic_core import to_json

from evergreen.errors import InvalidRequest
from evergreen.serving.calls.exchange import CHANNEL_HEADER, IDEMPOTENCY_HEADER
from evergreen.serving.channels import ONLINE, PROBE_CHANNEL, PROBE_CHANNELS
from evergreen.serving.fast.key_reader import KeyListReader
from evergreen.serving.guard.guard import KEYS_REQUIRED, METRICS_OPEN
from evergreen.serving.http.answer_schema import ErrorAnswer
from evergreen.serving.http.bento_schema import add_bento_schema_route
from evergreen.serving.http.bodies import FeedbackBatchBody, FeedbackBody
from evergreen.serving.http.error_bodies import add_error_handlers
from evergreen.serving.http.openapi import build_document
from evergreen.serving.http.schema import Schemas, build_schemas, describe_use_case
from evergreen.serving.metrics.metrics_page import add_metrics_route
from evergreen.serving.predictions.idempotency import read_idempotency_key

if TYPE_CHECKING:
    from evergreen.serving.runtime import Runtime

Endpoint = Callable[..., Coroutine[Any, Any, Response]]


def create_app() -> FastAPI:
    """An empty app, which `configure_app` fills once the use case is known."""
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def configure_app(app: FastAPI, runtime: Runtime) -> FastAPI:
    """Give the app the routes, documentation and error answers of the runtime's use case."""
    use_case = runtime.use_case
    models = build_schemas(use_case)
    app.title = use_case.title
    app.description = describe_use_case(use_case)
    add_error_handlers(app, use_case, runtime.count_refused)
    add_metrics_route(app)
    add_bento_schema_route(app, use_case, models)
    _add_prediction_routes(app, runtime, models)
    _add_other_routes(app, runtime, models)
    _add_documentation_routes(app, runtime)
    return app


def _add_prediction_routes(app: FastAPI, runtime: Runtime, models: Schemas) -> None:
    entity = runtime.use_case.entity.name
    # Not in the threads that all other requests share: they may all wait for MariaDB.
    key_lists = KeyListReader(runtime.read_vectors)

    async def predict(body: Any, request: Request) -> Response:
        """Predict from the features in the request and log the prediction."""
        row, channel, key = body.data.__dict__, _read_channel(request), _read_key(request)
        if runtime.trials.canary is None:
            (answer,) = runtime.answer_rows([row], channel, key)
        else:  # it may have to be waited for
            (answer,) = await anyio.to_thread.run_sync(runtime.answer_rows, [row], channel, key)
        return _build_json_response(answer)

    async def predict_batch(body: Any, request: Request) -> Response:
        """Predict many rows and log the predictions."""
        rows = runtime.list_values([row.__dict__ for row in body.data])
        channel, key = _read_channel(request), _read_key(request)
        content = await anyio.to_thread.run_sync(runtime.answer_many, rows, channel, key)
        return Response(content, media_type="application/json")

    async def predict_by_key(body: Any, request: Request) -> Response:
        """Predict from the newest stored features of one key or of each key in a list."""
        is_list = isinstance(body.data, list)
        keys = runtime.list_keys([key.__dict__ for key in (body.data if is_list else [body.data])])
        channel, request_key = _read_channel(request), _read_key(request)
        vectors = await key_lists.read(keys)
        answers = await anyio.to_thread.run_sync(runtime.answer_keys, keys, vectors, channel, request_key)
        if not is_list:
            return _build_json_response(answers[0])
        return _build_json_response({"model_version": answers[0]["model_version"], "predictions": answers})

    async def explain(body: Any) -> Response:
        """Explain the prediction of one row. Nothing is logged."""
        return _build_json_response(await anyio.to_thread.run_sync(runtime.explain, body.data.__dict__))

    _add_post_route(app, "/predict", predict, models.predict, models.prediction, f"Predict one {entity}")
    _add_post_route(
        app, "/predict_batch", predict_batch, models.predict_batch, models.prediction_batch, "Predict many"
    )
    _add_post_route(
        app,
        "/predict_by_key",
        predict_by_key,
        models.predict_by_key,
        models.prediction | models.prediction_batch,
        f"Predict from the newest stored features of a {entity}",
    )
    _add_post_route(
        app,
        "/explain",
        explain,
        models.predict,
        models.explanation,
        "Each feature's contribution to a prediction",
    )


def _add_other_routes(app: FastAPI, runtime: Runtime, models: Schemas) -> None:
    async def feedback(body: Any, request: Request) -> Response:
        """Record the outcome of an earlier prediction; a later feedback replaces it."""
        outcomes = [(body.prediction_id, body.actual)]
        runtime.take_feedback(outcomes, datetime.now(UTC), _read_key(request))
        answer: FeedbackBody = {"prediction_id": body.prediction_id, "recorded": True}
        return _build_json_response(answer)

    async def feedback_batch(body: Any, request: Request) -> Response:
        """Record the outcomes of many predictions: all of them, or none where one is malformed."""
        outcomes = [(outcome.prediction_id, outcome.actual) for outcome in body.data]
        runtime.take_feedback(outcomes, datetime.now(UTC), _read_key(request))
        answer: FeedbackBatchBody = {"recorded": len(body.data)}
        return _build_json_response(answer)

    async def metadata() -> Response:
        """Describe the model in service, the declaration and the state of the prediction log."""
        return _build_json_response(await anyio.to_thread.run_sync(runtime.metadata))

    _add_post_route(
        app,
        "/feedback",
        feedback,
        models.feedback,
        models.feedback_answer,
        "What really happened, for a prediction_id",
    )
    _add_post_route(
        app,
        "/feedback_batch",
        feedback_batch,
        models.feedback_batch,
        models.feedback_batch_answer,
        "What really happened, for many",
    )
    app.add_api_route(
        "/metadata",
        metadata,
        methods=["GET"],
        summary="What is served, and since when",
        response_model=models.metadata,
        tags=["service"],
    )


def _add_documentation_routes(app: FastAPI, runtime: Runtime) -> None:
    def build_openapi() -> dict[str, Any]:
        """The OpenAPI document of a service that asks for no key."""
        return _read_document(False, False)

    @functools.cache
    def _read_document(keys_required: bool, metrics_open: bool) -> dict[str, Any]:
        return build_document(app, keys_required=keys_required, metrics_open=metrics_open)

    async def specification(request: Request) -> Response:
        """Answer with the OpenAPI document."""
        state = [bool(request.scope.get(name)) for name in (KEYS_REQUIRED, METRICS_OPEN)]
        return _build_json_response(_read_document(*state))

    async def page() -> Response:
        """Answer with the page that documents the routes."""
        # BentoML serves Swagger UI's files from its own package: the page works without the internet.
        return get_swagger_ui_html(
            openapi_url="./openapi.json",
            title=f"{runtime.use_case.title} · Evergreen",
            swagger_js_url="./static_content/swagger-ui-bundle.js",
            swagger_css_url="./static_content/swagger-ui.css",
            swagger_favicon_url="./static_content/favicon-light-32x32.png",
        )

    app.openapi = build_openapi  # type: ignore[method-assign]
    # Under /docs.json BentoML publishes a document of its own, which lacks these routes.
    for path in ("/openapi.json", "/docs.json"):
        app.add_api_route(path, specification, methods=["GET"], include_in_schema=False)
    for path in ("/", "/docs"):
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)


def _add_post_route(
    app: FastAPI, path: str, endpoint: Endpoint, body: type[BaseModel], answer: Any, summary: str
) -> None:
    # The body's type is built from the declaration, so FastAPI cannot read it from the source.
    endpoint.__annotations__["body"] = body
    refusals: dict[int | str, dict[str, Any]] = {
        400: {"model": ErrorAnswer, "description": "The body is not JSON."},
        422: {"model": ErrorAnswer, "description": "The body breaks the contract; the fields say where."},
        409: {"model": ErrorAnswer, "description": "No champion yet."},
        503: {
            "model": ErrorAnswer,
            "description": "Not now: a model is loading, the store is away, or nothing can be logged.",
        },
    }
    if path == "/predict_by_key":
        refusals[404] = {"model": ErrorAnswer, "description": "Nothing is known under that key."}
    app.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        summary=summary,
        response_model=answer,
        responses=refusals,
        tags=["predictions"],
    )


def _read_channel(request: Request) -> str:
    """The channel under which a request is logged. Raises InvalidRequest for an unknown header value."""
    channel = request.headers.get(CHANNEL_HEADER, ONLINE).lower()
    if channel in PROBE_CHANNELS:
        return PROBE_CHANNEL
    if channel != ONLINE:
        raise InvalidRequest(
            f"the header {CHANNEL_HEADER} is {channel[:40]!r}",
            hint=f"send {ONLINE} or {PROBE_CHANNEL}, or leave it out",
        )
    return ONLINE


def _read_key(request: Request) -> str | None:
    """The key by which the caller knows a repeated request, if it is one."""
    header = request.headers.get(IDEMPOTENCY_HEADER)
    return read_idempotency_key(header.encode("latin-1"), time.time()) if header else None


def _build_json_response(content: Any) -> Response:
    return Response(to_json(content), media_type="application/json")
