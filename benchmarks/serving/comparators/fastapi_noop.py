"""FastAPI on uvicorn at its best: the same typed body, a constant answer, no model and no log.

python -m benchmarks.serving.comparators.fastapi_noop PORT

The answer is bytes made beforehand, so that FastAPI has nothing to serialise; there is no access log; uvicorn
takes uvloop and httptools, which the project's environment has. So it is the hardest no-op to keep up with.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from evergreen.serving.http.schema import build_schemas
from evergreen.settings import Settings
from evergreen.usecases import load_use_case

USE_CASE = "credit_score"
# As long as the service's answer to one row.
ANSWER = json.dumps(
    {
        "prediction_id": "019f0000-0000-7000-8000-000000000000",
        "model_version": 1,
        "customer_id": 4_711_815,
        "prediction": "Standard",
        "probability": 0.6180339887498949,
        "probabilities": {
            "Poor": 0.1459898984029801,
            "Standard": 0.6180339887498949,
            "Good": 0.2359761128481250,
        },
    },
    separators=(",", ":"),
).encode()


def build_app() -> FastAPI:
    app = FastAPI()

    async def predict(body: Any) -> Response:
        return Response(ANSWER, media_type="application/json")

    # The body's type is built from the declaration.
    predict.__annotations__["body"] = build_schemas(load_use_case(USE_CASE, Settings())).predict
    app.add_api_route("/predict", predict, methods=["POST"])
    return app


if __name__ == "__main__":
    uvicorn.run(build_app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
