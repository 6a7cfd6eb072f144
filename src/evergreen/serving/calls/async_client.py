"""The client of a use case's service for asyncio: `evergreen.AsyncClient`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import httpx

from evergreen.serving.calls.exchange import Exchange, Outcome, Retries, build_headers
from evergreen.serving.calls.service_calls import (
    Answer,
    ServiceCall,
    build_explain_call,
    build_feedback_batch_call,
    build_feedback_call,
    build_metadata_call,
    build_predict_batch_call,
    build_predict_by_key_call,
    build_predict_by_keys_call,
    build_predict_call,
)
from evergreen.serving.channels import ONLINE
from evergreen.serving.http.bodies import (
    ExplanationBody,
    FeedbackBody,
    MetadataBody,
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
            headers=build_headers(api_key, channel),
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
        return await self._send(build_predict_call(row))

    async def predict_batch(self, rows: Iterable[RequestRow]) -> list[PredictionBody]:
        """The answer to each row, in their order, all by one version. Raises InvalidRequest, NoChampion."""
        return await self._send(build_predict_batch_call(rows))

    async def predict_by_key(self, key: RequestRow) -> PredictionBody:
        """Predict from the newest stored features of one key. Raises KeyNotFound and NoChampion."""
        return await self._send(build_predict_by_key_call(key))

    async def predict_by_keys(self, keys: Iterable[RequestRow]) -> list[PredictionBody]:
        """The same for several keys at once, in their order. Raises KeyNotFound and NoChampion."""
        return await self._send(build_predict_by_keys_call(keys))

    async def explain(self, row: RequestRow) -> ExplanationBody:
        """Each feature's contribution to the prediction of one row. Raises InvalidRequest and NoChampion."""
        return await self._send(build_explain_call(row))

    async def feedback(self, prediction_id: str, actual: str | float) -> FeedbackBody:
        """Report the outcome of a prediction. Raises InvalidRequest, also for an id that no service gives."""
        return await self._send(build_feedback_call(prediction_id, actual))

    async def feedback_batch(self, outcomes: Sequence[tuple[str, str | float]]) -> int:
        """Report the outcomes of several predictions, each an id and what really happened; how many were
        recorded. Raises InvalidRequest, and then none is."""
        return await self._send(build_feedback_batch_call(outcomes))

    async def metadata(self) -> MetadataBody:
        """What is served, and since when."""
        return await self._send(build_metadata_call())

    async def ready(self) -> bool:
        """Whether the service answers and has a champion in service. Asks once, and raises nothing."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.RequestError:
            return False

    async def _send(self, call: ServiceCall[Answer]) -> Answer:
        exchange = Exchange(self.base_url, self._retries, call)
        while True:
            try:
                outcome: Outcome = await self._http.request(**exchange.request)
            except httpx.RequestError as error:
                outcome = error
            pause = exchange.choose_pause(outcome)
            if pause is None:
                return exchange.read_answer(outcome)
            await asyncio.sleep(pause)
