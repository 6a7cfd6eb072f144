"""Single predictions at the speed of the web server: decoded in one pass, predicted and logged in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from evergreen.serving.http.decoder import RequestDecoder
from evergreen.serving.micro_batch import MicroBatch

if TYPE_CHECKING:
    from evergreen.model.request_inputs import RequestValues
    from evergreen.serving.http.bodies import PredictionBody
    from evergreen.serving.runtime import Runtime

# A row to predict, and the channel that it is logged under.
_Request = tuple["RequestValues", str]


class FastPath:
    """Answers bodies of `/predict` with bodies of JSON."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._encoder = msgspec.json.Encoder()
        self._batch: MicroBatch[_Request, bytes] = MicroBatch(self._answer_batch)
        self.decode = RequestDecoder(runtime.use_case).decode

    def submit(self, values: RequestValues, channel: str) -> asyncio.Future[bytes]:
        """The future answer to one row. It raises what `Runtime.answer` raises."""
        return self._batch.submit((values, channel))

    def _answer_batch(self, requests: Sequence[_Request]) -> list[bytes]:
        channel = requests[0][1]
        if any(other != channel for _, other in requests):
            # A batch is logged under one channel. Probes arrive seldom among other requests.
            return [self._answer_one(request) for request in requests]
        return self._encode(self._runtime.answer([values for values, _ in requests], channel))

    def _answer_one(self, request: _Request) -> bytes:
        values, channel = request
        return self._encode(self._runtime.answer([values], channel))[0]

    def _encode(self, bodies: Sequence[PredictionBody]) -> list[bytes]:
        return [self._encoder.encode(body) for body in bodies]
