"""`GET /schema.json`: what BentoML's own clients read to learn a service's methods.

BentoML writes this document from methods that it serves itself, of which this service has none: its routes
are an app's. With this one `bentoml.SyncHTTPClient(url).predict(data={...})` works.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter

from evergreen.serving.http.schema import Schemas
from evergreen.usecase import UseCase


def add_bento_schema_route(app: FastAPI, use_case: UseCase, models: Schemas) -> None:
    """Give the app the document."""
    document = build_bento_schema(use_case, models)

    async def show_schema() -> JSONResponse:
        """Answer with the document."""
        return JSONResponse(document)

    app.add_api_route("/schema.json", show_schema, methods=["GET"], include_in_schema=False)


def build_bento_schema(use_case: UseCase, models: Schemas) -> dict[str, Any]:
    """The document: each method's name, route, and the JSON schemas of its arguments and answer."""
    answer_by_key: Any = models.prediction | models.prediction_batch
    by_key: TypeAdapter[Any] = TypeAdapter(answer_by_key)
    routes = [
        _describe_method("predict", models.predict, models.prediction.model_json_schema()),
        _describe_method("predict_batch", models.predict_batch, models.prediction_batch.model_json_schema()),
        _describe_method("predict_by_key", models.predict_by_key, by_key.json_schema()),
        _describe_method("explain", models.predict, models.explanation.model_json_schema()),
        _describe_method("feedback", models.feedback, models.feedback_answer.model_json_schema()),
        _describe_method(
            "feedback_batch", models.feedback_batch, models.feedback_batch_answer.model_json_schema()
        ),
    ]
    return {"name": use_case.name, "type": "service", "description": use_case.meaning, "routes": routes}


def _describe_method(name: str, body: type[BaseModel], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "route": f"/{name}",
        "batchable": False,
        "input": body.model_json_schema(),
        "output": answer,
    }
