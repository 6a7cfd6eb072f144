"""Single predictions at the speed of the web server: decoded in one pass, predicted and logged in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
from starlette.responses import Response
from uuid_utils import uuid7

from evergreen.serving.channels import ONLINE
from evergreen.serving.fast.batch_decoder import BatchDecoder
from evergreen.serving.fast.decoder import KeyDecoder, RequestDecoder
from evergreen.serving.fast.key_reader import KeyReader, build_unknown_keys_error
from evergreen.serving.fast.micro_batch import MicroBatch
from evergreen.serving.fast.queued_batches import QueuedBatches
from evergreen.serving.fast.row_list import InvalidBody, RowList, UnreadableBody, parse_row
from evergreen.serving.http.error_bodies import (
    build_fault_response,
    build_invalid_response,
    build_unreadable_response,
    list_field_names,
)
from evergreen.serving.http.schema import build_schemas

if TYPE_CHECKING:
    from evergreen.model.request_inputs import RequestValues
    from evergreen.serving.http.bodies import PredictionBody
    from evergreen.serving.runtime import Runtime
    from evergreen.serving.trial.arm import Arm
    from evergreen.store.connection.values import KeyTuple
    from evergreen.store.online.vectors import OnlineVector


# A larger body, one of more rows, or of more values, is answered in a thread; for a smaller one the hand-over
# costs more than it saves. Where every feature may be missing, 32 kB are 10,600 rows.
_SMALL_BYTES = 32_000
_SMALL_ROWS = 128
_SMALL_VALUES = 4_000
# Up to this size the models check a body that is not as msgspec wants it, on the event loop. They need twenty
# times its memory.
_MODEL_BYTES = 1_000_000
_MODEL_ROWS = 2_000


def _may_exceed(body: bytes | bytearray, most_rows: int) -> bool:
    """Whether a body may have more rows: each begins with a brace, and so does the body."""
    return body.count(b"{") > most_rows + 1


class RequestLabels(NamedTuple):
    """The channel that a prediction is logged under, and its id (UUIDv7) if the caller has made one."""

    channel: str
    prediction_id: str | None = None


def _choose_id(labels: RequestLabels) -> RequestLabels:
    """Labels with an id: once per request, because a batch that failed is answered again one by one, and some
    of it may be in the log already."""
    return labels if labels.prediction_id else RequestLabels(labels.channel, str(uuid7()))


class _Request(NamedTuple):
    """A row to predict, how it is logged, and its vector if it was read by its key."""

    values: RequestValues
    labels: RequestLabels
    vector: OnlineVector | None = None


class FastPath:
    """Answers bodies of `/predict`, `/predict_by_key` and `/predict_batch` with JSON, for one event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._encoder = msgspec.json.Encoder()
        self._batch: MicroBatch[_Request, bytes] = MicroBatch(self._answer_batch)
        self._arms: QueuedBatches[Arm, _Request, bytes] = QueuedBatches(self._ask_arm)
        self._reader = KeyReader(runtime.read_vectors)
        self._decode_row = RequestDecoder(runtime.use_case).decode
        schemas = build_schemas(runtime.use_case)
        self._batch_decoder = BatchDecoder(runtime.use_case, schemas.row)
        # By path, the model of one row of what the app answers itself.
        self._row_models = {
            "/predict_batch": schemas.row,
            "/predict_by_key": schemas.key,
            "/feedback_batch": schemas.feedback,
        }
        columns = len(runtime.use_case.entity.key_names) + len(runtime.use_case.stored_features)
        self._small_rows = min(_SMALL_ROWS, _SMALL_VALUES // columns)
        self._rows = RowList(runtime.use_case.serving.max_batch)
        # Large bodies one after another: the memory of one is bounded, that of any number is not.
        self._large_bodies = asyncio.Semaphore(1)
        self._field_names = list_field_names(runtime.use_case)
        self._validate_seconds = 0.0
        self._batch_began = 0.0
        self.decode_key = KeyDecoder(runtime.use_case).decode

    def decode_row(self, body: bytes) -> RequestValues | None:
        """The row of a body; None where the models must check it."""
        began = perf_counter()
        values = self._decode_row(body)
        self._validate_seconds = perf_counter() - began
        return values

    def build_error_response(self, path: str, error: Exception) -> Response:
        """The answer to a request of a path that ended with an error; what was refused is counted."""
        if isinstance(error, InvalidBody):
            return build_invalid_response(
                error.faults, self._field_names, self._runtime.count_refused, "application/json"
            )
        if isinstance(error, UnreadableBody):
            return build_unreadable_response()
        return build_fault_response(path, error)

    def takes_many(self, path: str) -> bool:
        """Whether the bodies of a path may have many rows."""
        return path in self._row_models

    async def check_large(self, path: str, body: bytes | bytearray) -> None:
        """Check a body of many rows before the app parses it, if it is too large to be parsed unseen.

        Raises InvalidBody and UnreadableBody.
        """
        if len(body) <= _MODEL_BYTES:
            return
        model = self._row_models[path]

        def check_row(raw_row: msgspec.Raw) -> None:
            model.model_validate(parse_row(raw_row))

        async with self._large_bodies:
            await asyncio.to_thread(self._rows.read, body, check_row)

    async def predict_many(self, body: bytes | bytearray, labels: RequestLabels) -> bytes | None:
        """The answer to a body of many rows; None where the models must check it.

        A body that is too large for them is checked here. Raises InvalidBody, UnreadableBody, and what
        `Runtime.answer_many` raises.
        """
        arrived_at = perf_counter()
        if len(body) <= _SMALL_BYTES:
            # A version on trial may have to be waited for.
            if self._runtime.trials.canary is None and not _may_exceed(body, self._small_rows):
                return self._answer_many(body, labels, arrived_at)
            return await asyncio.to_thread(self._answer_many, body, labels, arrived_at)
        async with self._large_bodies:
            return await asyncio.to_thread(self._answer_many, body, labels, arrived_at)

    def _answer_many(self, body: bytes | bytearray, labels: RequestLabels, arrived_at: float) -> bytes | None:
        began = perf_counter()
        is_large = len(body) > _MODEL_BYTES or _may_exceed(body, _MODEL_ROWS)
        if is_large:
            self._batch_decoder.check_count(body)
        rows = self._batch_decoder.decode(body)
        if rows is None:
            if not is_large:
                return None
            rows = self._batch_decoder.check_rows(body)
        self._runtime.stages.observe_waiting(perf_counter() - began, began - arrived_at, is_request=True)
        return self._runtime.answer_many(rows, labels.channel, labels.prediction_id)

    def predict(self, values: RequestValues, labels: RequestLabels) -> asyncio.Future[bytes]:
        """The future answer to one row. It raises what `Runtime.answer` raises."""
        labels = _choose_id(labels)
        if not self._batch.size:
            self._batch_began = perf_counter()
        return self._predict(_Request(values, labels))

    def predict_by_key(self, key: KeyTuple, labels: RequestLabels) -> asyncio.Future[bytes]:
        """The future answer for one key. It raises KeyNotFound, StoreUnreachable, and what `Runtime.answer`
        raises."""
        return asyncio.get_running_loop().create_task(self._predict_by_key(key, _choose_id(labels)))

    async def _predict_by_key(self, key: KeyTuple, labels: RequestLabels) -> bytes:
        vector = await self._reader.submit(key)
        if vector is None:
            raise build_unknown_keys_error(self._runtime.use_case, [key])
        return await self._predict(_Request((*key, *vector.features.values()), labels, vector))

    def _predict(self, request: _Request) -> asyncio.Future[bytes]:
        canary = self._runtime.trials.canary
        if canary is None or canary.broken_limit or request.labels.channel != ONLINE:
            return self._batch.submit(request)
        arm = canary.find_arm(request.values, cast("str", request.labels.prediction_id))
        if arm is None:
            return self._batch.submit(request)
        return asyncio.ensure_future(self._predict_by_arm(arm, request))

    async def _predict_by_arm(self, arm: Arm, request: _Request) -> bytes:
        """The answer of a version on trial; where it gives none, that of the champion."""
        answer = await self._arms.submit(arm, request)
        return answer if answer is not None else await self._batch.submit(request)

    async def _ask_arm(self, arm: Arm, requests: Sequence[_Request]) -> list[bytes] | None:
        """The answers of a version on trial; None where it gives none in time. The loop goes on meanwhile."""
        ids = [cast("str", request.labels.prediction_id) for request in requests]
        rows = [request.values for request in requests]
        future = asyncio.wrap_future(self._runtime.trials.predict_by_arm(arm, rows, ids))
        done, _ = await asyncio.wait([future], timeout=arm.half_seconds)
        if not done:
            done, _ = await asyncio.wait([future], timeout=arm.half_seconds)
        if not done:
            future.cancel()
            arm.observe_hang(len(requests))
            return None
        predicted = arm.take_answer(len(requests), future.result)
        if predicted is None:
            return None
        bodies = self._runtime.answer_by_challenger(predicted)
        return [self._encode(body, request.vector) for body, request in zip(bodies, requests, strict=True)]

    def _answer_batch(self, requests: Sequence[_Request]) -> list[bytes]:
        self._runtime.stages.observe_waiting(self._validate_seconds, perf_counter() - self._batch_began)
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
