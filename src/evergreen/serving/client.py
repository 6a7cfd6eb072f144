"""An HTTP client of a use case's service, for the loop, the demo and people's own scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import httpx

from evergreen.errors import InvalidRequest, KeyNotFound, NoChampion, ServiceUnreachable, ServingError
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FeedbackBody,
    MetadataBody,
    PredictionBody,
    RequestRow,
)

CHANNEL_HEADER = "X-Evergreen-Channel"
_ERRORS = {409: NoChampion, 404: KeyNotFound, 400: InvalidRequest, 413: InvalidRequest, 422: InvalidRequest}


class ServiceClient:
    """Calls one service over HTTP; raises ServiceUnreachable, or the error that the service answers with.

    `channel` (see `serving/channels.py`) is what the predictions are logged as. The answers are the JSON
    bodies of `serving/http/bodies.py`.
    """

    def __init__(self, base_url: str, *, timeout: float = 30.0, channel: str = "online") -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url, timeout=timeout, headers={CHANNEL_HEADER: channel}, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, row: RequestRow) -> PredictionBody:
        """The answer to one row."""
        return cast("PredictionBody", self._post("/predict", {"data": dict(row)}))

    def predict_batch(self, rows: Sequence[RequestRow]) -> list[PredictionBody]:
        """The answer to each row, in the rows' order."""
        body = self._post("/predict_batch", {"data": [dict(row) for row in rows]})
        return cast("list[PredictionBody]", body["predictions"])

    def predict_by_key(self, key: RequestRow) -> PredictionBody:
        """Predict from the newest stored features of one key; raises KeyNotFound."""
        return cast("PredictionBody", self._post("/predict_by_key", {"data": dict(key)}))

    def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row."""
        return cast("ExplanationBody", self._post("/explain", {"data": dict(row)}))

    def feedback(self, prediction_id: str, actual: str | float) -> FeedbackBody:
        """Report the outcome of a prediction; raises KeyNotFound for an unknown id."""
        return cast(
            "FeedbackBody", self._post("/feedback", {"prediction_id": prediction_id, "actual": actual})
        )

    def metadata(self) -> MetadataBody:
        """What is served, and since when."""
        return cast("MetadataBody", self._read_body(self._call("GET", "/metadata")))

    def ready(self) -> bool:
        """Whether the service answers and has a champion in service."""
        try:
            return self._call("GET", "/readyz").status_code == 200
        except ServiceUnreachable:
            return False

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        return self._read_body(self._call("POST", path, json=body))

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ServiceUnreachable(
                f"the prediction service at {self.base_url} does not answer: {error or type(error).__name__}",
                hint="see `evergreen status`: a service runs for each use case that has a champion",
            ) from error

    def _read_body(self, response: httpx.Response) -> Any:
        """The JSON of a successful answer; raises the ServingError that the status stands for."""
        try:
            body = response.json()
            if response.is_success:
                return body
            message, hint = str(body["error"]["message"]), str(body["error"].get("hint", ""))
        except (ValueError, KeyError, TypeError):
            message, hint = f"{response.status_code} {response.text[:200]!r}", ""
        error_class = _ERRORS.get(response.status_code, ServingError)
        raise error_class(f"{self.base_url}: {message}", hint=hint)
