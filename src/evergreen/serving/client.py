"""A small client for a use case's service: what the loop, the demo and people's scripts call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from evergreen.errors import InvalidRequest, KeyNotFound, NoChampion, ServiceUnreachable, ServingError

CHANNEL_HEADER = "X-Evergreen-Channel"
_KINDS = {409: NoChampion, 404: KeyNotFound, 400: InvalidRequest, 413: InvalidRequest, 422: InvalidRequest}

Row = Mapping[str, Any]


class ServiceClient:
    """Calls one service over HTTP; raises ServiceUnreachable, or the error that the service names.

    `channel="canary"` marks requests that are checks and not traffic.
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

    def predict(self, row: Row) -> dict[str, Any]:
        """One row in, one answer out."""
        return self._post("/predict", {"data": dict(row)})

    def predict_batch(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Many rows in, as many answers out, in order."""
        answers: list[dict[str, Any]] = self._post("/predict_batch", {"data": [dict(r) for r in rows]})[
            "predictions"
        ]
        return answers

    def predict_by_key(self, key: Row) -> dict[str, Any]:
        """Predict from the newest stored features of one key; raises KeyNotFound."""
        return self._post("/predict_by_key", {"data": dict(key)})

    def explain(self, row: Row) -> dict[str, Any]:
        """Each feature's contribution to the prediction of one row."""
        return self._post("/explain", {"data": dict(row)})

    def feedback(self, prediction_id: str, actual: str | float) -> dict[str, Any]:
        """Tell what really happened; raises KeyNotFound when nobody was given that id."""
        return self._post("/feedback", {"prediction_id": prediction_id, "actual": actual})

    def metadata(self) -> dict[str, Any]:
        """What is served, and since when."""
        return self._answer(self._call("GET", "/metadata"))

    def ready(self) -> bool:
        """Whether the service answers and has a champion in service."""
        try:
            return self._call("GET", "/readyz").status_code == 200
        except ServiceUnreachable:
            return False

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._call("POST", path, json=body))

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ServiceUnreachable(
                f"the prediction service at {self.base_url} does not answer: {error or type(error).__name__}",
                hint="see `evergreen status`: a service runs for each use case that has a champion",
            ) from error

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        try:
            body = response.json()
            if response.is_success:
                answer: dict[str, Any] = body
                return answer
            message, hint = str(body["error"]["message"]), str(body["error"].get("hint", ""))
        except (ValueError, KeyError, TypeError):
            message, hint = f"{response.status_code} {response.text[:200]!r}", ""
        kind = _KINDS.get(response.status_code, ServingError)
        raise kind(f"{self.base_url}: {message}", hint=hint)
