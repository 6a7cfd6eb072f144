"""The client of a use case's service for asyncio: `evergreen.AsyncClient`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import httpx

from evergreen.serving.calls import exchange
from evergreen.serving.calls.exchange import Retries
from evergreen.serving.channels import ONLINE
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FeedbackBody,
    MetadataBody,
    OutcomeBody,
    PredictionBody,
    RequestRow,
)


class AsyncClient:
    """`Client` with coroutines: the same options, answers and errors. Use it in `async with`.

    One client serves any number of tasks of one event loop.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
        channel: str = ONLINE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            timeout=timeout,
            headers=exchange.build_headers(api_key, channel),
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(self, row: RequestRow) -> PredictionBody:
        """The answer to one row. Raises InvalidRequest and NoChampion."""
        return cast("PredictionBody", await self._post("/predict", {"data": dict(row)}))

    async def predict_batch(self, rows: Iterable[RequestRow]) -> list[PredictionBody]:
        """The answer to each row, in their order, all by one version. Raises InvalidRequest, NoChampion."""
        body = await self._post("/predict_batch", {"data": [dict(row) for row in rows]}, predictions=list)
        return cast("list[PredictionBody]", body["predictions"])

    async def predict_by_key(self, key: RequestRow) -> PredictionBody:
        """Predict from the newest stored features of one key. Raises KeyNotFound and NoChampion."""
        return cast("PredictionBody", await self._post("/predict_by_key", {"data": dict(key)}))

    async def predict_by_keys(self, keys: Iterable[RequestRow]) -> list[PredictionBody]:
        """The same for several keys at once, in their order. Raises KeyNotFound and NoChampion."""
        body = await self._post("/predict_by_key", {"data": [dict(key) for key in keys]}, predictions=list)
        return cast("list[PredictionBody]", body["predictions"])

    async def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row. Raises InvalidRequest and NoChampion."""
        return cast("ExplanationBody", await self._post("/explain", {"data": dict(row)}))

    async def feedback(self, prediction_id: str, actual: str | float) -> FeedbackBody:
        """Report the outcome of a prediction. Raises InvalidRequest, and KeyNotFound for an unknown id."""
        outcome: OutcomeBody = {"prediction_id": prediction_id, "actual": actual}
        return cast("FeedbackBody", await self._post("/feedback", outcome))

    async def feedback_batch(self, outcomes: Sequence[tuple[str, str | float]]) -> int:
        """Report the outcomes of several predictions, each an id and what really happened; how many were
        recorded. Raises InvalidRequest, and then none is."""
        data: list[OutcomeBody] = [{"prediction_id": each, "actual": actual} for each, actual in outcomes]
        body = await self._post("/feedback_batch", {"data": data}, recorded=int)
        return cast("int", body["recorded"])

    async def metadata(self) -> MetadataBody:
        """What is served, and since when."""
        return cast("MetadataBody", exchange.read_body(self.base_url, await self._call("GET", "/metadata")))

    async def ready(self) -> bool:
        """Whether the service answers and has a champion in service. Asks once, and raises nothing."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.RequestError:
            return False

    async def _post(self, path: str, body: Mapping[str, object], **kinds: type) -> Any:
        return exchange.read_body(self.base_url, await self._call("POST", path, json=body), **kinds)

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = exchange.build_request_headers(method)
        for attempt in itertools.count():
            try:
                outcome: exchange.Outcome = await self._http.request(method, path, headers=headers, **options)
            except httpx.RequestError as error:
                outcome = error
            pause = exchange.choose_pause(self._retries, attempt, outcome)
            if pause is None:
                return exchange.finish_request(self.base_url, outcome)
            await asyncio.sleep(pause)
        raise AssertionError("the count has no end")
