"""Decides which requests are answered where their bytes arrive, and starts their predictions.

It joins what one worker has: the guard, and the fast path as soon as there is one. The connections of
`direct_protocol.py` call it.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response

from evergreen.serving.fast.front import Front, read_labels
from evergreen.serving.guard.guard import Guard
from evergreen.serving.guard.request_ids import set_request_id
from evergreen.serving.guard.routes import Route, find_route

if TYPE_CHECKING:
    from starlette.types import Scope

    from evergreen.serving.fast.fast_path import FastPath, RequestLabels


class Prediction(NamedTuple):
    """What a route of single predictions does with a body: decode it (None: the models must check it), and
    predict what was decoded."""

    route: Route
    decode: Callable[[bytes], Any | None]
    predict: Callable[[Any, RequestLabels], Future[bytes]]


class Admission(NamedTuple):
    """A request that was let in, under its id."""

    prediction: Prediction
    labels: RequestLabels
    request_id: bytes


class DirectAnswers:
    """Lets single predictions in, and starts them. For one event loop."""

    def __init__(self, guard: Guard, front: Front) -> None:
        self._guard = guard
        self._front = front
        self._fast_path: FastPath | None = None
        self._predictions: dict[bytes, Prediction] = {}

    def admit(self, url: bytes, scope: Scope) -> Admission | None:
        """Let a POST to a URL in; None for every request that must go through the guard to the app.

        `scope` holds the method, the headers and the server's address.
        """
        if self._front.fast_path is not self._fast_path:
            self._follow_fast_path()
        prediction = self._predictions.get(url)
        if prediction is None:
            return None
        labels = read_labels(scope["headers"])
        if labels is None:
            return None
        request_id = self._guard.admit(scope, prediction.route)
        return Admission(prediction, labels, request_id) if request_id is not None else None

    def start(self, admission: Admission, body: bytes) -> Future[bytes] | None:
        """The future answer to a body; None where the models must check it."""
        values = admission.prediction.decode(body)
        return None if values is None else admission.prediction.predict(values, admission.labels)

    def build_error_response(self, admission: Admission, error: BaseException) -> Response:
        """The answer to a request that ended with an error.

        Sets the request's id, which log records carry, so the present context must be one of its own.
        """
        if not isinstance(error, Exception):
            raise error
        set_request_id(admission.request_id)
        assert self._fast_path is not None, "it was let in"
        return self._fast_path.build_error_response(admission.prediction.route.template, error)

    def count(self, admission: Admission, status: int, seconds: float) -> None:
        """Count an answered request; `status` is 0 where its caller went away before."""
        self._guard.count(admission.prediction.route, "POST", status, seconds)

    def _follow_fast_path(self) -> None:
        path = self._fast_path = self._front.fast_path
        self._predictions = {}
        if path is None:
            return
        for template, decode, predict in (
            ("/predict", path.decode_row, path.predict),
            ("/predict_by_key", path.decode_key, path.predict_by_key),
        ):
            route = find_route(template)
            assert route is not None, template
            self._predictions[template.encode()] = Prediction(route, decode, predict)
