"""The client of a use case's service: `evergreen.Client`. `async_client.py` has the same for asyncio."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import httpx

from evergreen.serving.calls import exchange
from evergreen.serving.calls.exchange import NO_RETRIES, Retries
from evergreen.serving.channels import ONLINE
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FeedbackBody,
    MetadataBody,
    OutcomeBody,
    PredictionBody,
    RequestRow,
)
from evergreen.settings import Settings


class Client:
    """Calls one service over HTTP, by the connections that it keeps open. Thread-safe; use it in `with`.

    `api_key` is one that the service knows, where it asks for one. `timeout` is how many seconds a connection
    and each part of an answer may take. Requests that broke off, and those that the service could not answer
    now (429, 503), are sent again as `retries` says; each carries an `Idempotency-Key`, so that none is
    logged twice. `channel` (see `serving/channels.py`) is what the predictions are logged as. `transport` is
    httpx' own, for tests and special connections. Answers are the JSON bodies of `serving/http/bodies.py`.

    Every method raises ServiceUnreachable when nobody answers, AccessDenied without a valid key, and
    ServingError for what the service cannot do.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
        channel: str = ONLINE,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._retries = retries or Retries()
        self._http = httpx.Client(
            base_url=self.base_url,
            timeout=timeout,
            headers=exchange.build_headers(api_key, channel),
            transport=transport,
            trust_env=False,
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
        """The answer to one row. Raises InvalidRequest and NoChampion."""
        return cast("PredictionBody", self._post("/predict", {"data": dict(row)}))

    def predict_batch(self, rows: Iterable[RequestRow]) -> list[PredictionBody]:
        """The answer to each row, in their order, all by one version. Raises InvalidRequest, NoChampion."""
        body = self._post("/predict_batch", {"data": [dict(row) for row in rows]}, predictions=list)
        return cast("list[PredictionBody]", body["predictions"])

    def predict_by_key(self, key: RequestRow) -> PredictionBody:
        """Predict from the newest stored features of one key. Raises KeyNotFound and NoChampion."""
        return cast("PredictionBody", self._post("/predict_by_key", {"data": dict(key)}))

    def predict_by_keys(self, keys: Iterable[RequestRow]) -> list[PredictionBody]:
        """The same for several keys at once, in their order. Raises KeyNotFound and NoChampion."""
        body = self._post("/predict_by_key", {"data": [dict(key) for key in keys]}, predictions=list)
        return cast("list[PredictionBody]", body["predictions"])

    def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row. Raises InvalidRequest and NoChampion."""
        return cast("ExplanationBody", self._post("/explain", {"data": dict(row)}))

    def feedback(self, prediction_id: str, actual: str | float) -> FeedbackBody:
        """Report the outcome of a prediction. Raises InvalidRequest, and KeyNotFound for an unknown id."""
        outcome: OutcomeBody = {"prediction_id": prediction_id, "actual": actual}
        return cast("FeedbackBody", self._post("/feedback", outcome))

    def feedback_batch(self, outcomes: Sequence[tuple[str, str | float]]) -> int:
        """Report the outcomes of several predictions, each an id and what really happened; how many were
        recorded. Raises InvalidRequest, and then none is."""
        data: list[OutcomeBody] = [{"prediction_id": each, "actual": actual} for each, actual in outcomes]
        body = self._post("/feedback_batch", {"data": data}, recorded=int)
        return cast("int", body["recorded"])

    def metadata(self) -> MetadataBody:
        """What is served, and since when."""
        return cast("MetadataBody", exchange.read_body(self.base_url, self._call("GET", "/metadata")))

    def ready(self) -> bool:
        """Whether the service answers and has a champion in service. Asks once, and raises nothing."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.RequestError:
            return False

    def _post(self, path: str, body: Mapping[str, object], **kinds: type) -> Any:
        return exchange.read_body(self.base_url, self._call("POST", path, json=body), **kinds)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = exchange.build_request_headers(method)
        for attempt in itertools.count():
            try:
                outcome: exchange.Outcome = self._http.request(method, path, headers=headers, **options)
            except httpx.RequestError as error:
                outcome = error
            pause = exchange.choose_pause(self._retries, attempt, outcome)
            if pause is None:
                return exchange.finish_request(self.base_url, outcome)
            time.sleep(pause)
        raise AssertionError("the count has no end")


def open_own_client(settings: Settings, url: str, *, timeout: float = 30.0, channel: str = ONLINE) -> Client:
    """A client for Evergreen's own calls, which signs in by EVERGREEN_API_KEY. It tries nothing again: its
    callers ask by themselves until a moment that they know."""
    return Client(
        url,
        api_key=settings.api_key.get_secret_value(),
        timeout=timeout,
        retries=NO_RETRIES,
        channel=channel,
    )
