"""Single predictions at the speed of the web server: decoded in one pass, predicted and logged in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from uuid_utils import uuid7

from evergreen.serving.http.decoder import KeyDecoder, RequestDecoder
from evergreen.serving.key_reader import KeyReader
from evergreen.serving.micro_batch import MicroBatch

if TYPE_CHECKING:
    from evergreen.model.request_inputs import RequestValues
    from evergreen.serving.http.bodies import PredictionBody
    from evergreen.serving.runtime import Runtime
    from evergreen.store.connection.values import KeyTuple
    from evergreen.store.online.vectors import OnlineVector


class RequestLabels(NamedTuple):
    """The channel that a prediction is logged under, and its id (UUIDv7) if the caller has made one."""

    channel: str
    prediction_id: str | None = None


class _Request(NamedTuple):
    """A row to predict, how it is logged, and its vector if it was read by its key."""

    values: RequestValues
    labels: RequestLabels
    vector: OnlineVector | None = None


class FastPath:
    """Answers bodies of `/predict` and `/predict_by_key` with bodies of JSON, for one event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._encoder = msgspec.json.Encoder()
        self._batch: MicroBatch[_Request, bytes] = MicroBatch(self._answer_batch)
        self._reader = KeyReader(runtime.read_vectors)
        self.decode_row = RequestDecoder(runtime.use_case).decode
        self.decode_key = KeyDecoder(runtime.use_case).decode

    async def predict(self, values: RequestValues, labels: RequestLabels) -> bytes:
        """The answer to one row. Raises what `Runtime.answer` raises."""
        return await self._batch.submit(_Request(values, labels))

    async def predict_by_key(self, key: KeyTuple, labels: RequestLabels) -> bytes:
        """The answer for one key. Raises KeyNotFound, StoreUnreachable, and what `Runtime.answer` raises."""
        vector = await self._reader.submit(key)
        if vector is None:
            raise self._runtime.build_unknown_keys_error([key])
        return await self._batch.submit(_Request((*key, *vector.features.values()), labels, vector))

    def _answer_batch(self, requests: Sequence[_Request]) -> list[bytes]:
        channel = requests[0].labels.channel
        if any(request.labels.channel != channel for request in requests):
            # A batch is logged under one channel. Probes arrive seldom among other requests.
            return [self._answer_together([request])[0] for request in requests]
        return self._answer_together(requests)

    def _answer_together(self, requests: Sequence[_Request]) -> list[bytes]:
        bodies = self._runtime.answer(
            [request.values for request in requests],
            requests[0].labels.channel,
            [request.labels.prediction_id or str(uuid7()) for request in requests],
        )
        return [self._encode(body, request.vector) for body, request in zip(bodies, requests, strict=True)]

    def _encode(self, body: PredictionBody, vector: OnlineVector | None) -> bytes:
        if vector is not None:
            body["stale_views"] = list(vector.stale_views)
            body["missing_views"] = list(vector.missing_views)
        return self._encoder.encode(body)
