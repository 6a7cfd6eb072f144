"""What both clients of a service share: headers, when to try again, and what an answer means."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeAlias, TypedDict

import httpx
from uuid_utils import uuid7

from evergreen.errors import (
    AccessDenied,
    InvalidRequest,
    KeyNotFound,
    NoChampion,
    ServiceUnreachable,
    ServingError,
)
from evergreen.serving.calls.service_calls import Answer, ServiceCall

CHANNEL_HEADER = "X-Evergreen-Channel"
IDEMPOTENCY_HEADER = "Idempotency-Key"

_ERRORS: Mapping[int, type[NoChampion | KeyNotFound | ServingError]] = {
    400: InvalidRequest,
    401: AccessDenied,
    404: KeyNotFound,
    409: NoChampion,
    413: InvalidRequest,
    422: InvalidRequest,
}
# Too many requests, and not able to answer now: the service asks to come again.
_BUSY = frozenset({429, 503})
# What breaks before or in the middle of an answer. A time-out is none of them: the caller's patience is over.
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)

_FOREIGN_HINT = "see whether a prediction service is at that address, or a proxy in between answers for it"

# How an attempt ended.
Outcome: TypeAlias = httpx.Response | httpx.RequestError


@dataclass(frozen=True)
class Retries:
    """How often and when a request is sent again: at most `count` times, after `first_seconds`, then twice
    that and so on up to `longest_seconds`, each time a random part of it, so that many callers spread out.

    A service that says when to come again (`Retry-After`) is heeded, unless that is later than
    `longest_seconds`: then its answer counts.
    """

    count: int = 3
    first_seconds: float = 0.1
    longest_seconds: float = 10.0
    draw: Callable[[], float] = random.random

    def choose_pause(self, attempt: int, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next attempt; None when there is none. `attempt` is 0 for the first."""
        if attempt >= self.count:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= self.longest_seconds else None
        longest = min(self.longest_seconds, self.first_seconds * 2.0**attempt)
        return longest * (0.5 + 0.5 * self.draw())


NO_RETRIES = Retries(count=0)


def build_headers(api_key: str | None, channel: str) -> dict[str, str]:
    """The headers of every request of a client."""
    headers = {CHANNEL_HEADER: channel}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


class HttpRequest(TypedDict):
    """What httpx is told of a request, by the names that it uses. `json` is None for no body."""

    method: str
    url: str
    headers: dict[str, str]
    json: object


class Exchange(Generic[Answer]):
    """The attempts at one call, until it is answered or given up. The client sends them and waits in between.

    `request` is what httpx is told, the same each time: its key says to the service that all attempts are one
    request, so that a prediction whose answer was lost is not logged twice.
    """

    def __init__(self, base_url: str, retries: Retries, call: ServiceCall[Answer]) -> None:
        self._base_url = base_url
        self._retries = retries
        self._call = call
        self._attempt = 0
        headers = {IDEMPOTENCY_HEADER: str(uuid7())} if call.method == "POST" else {}
        self.request: HttpRequest = {
            "method": call.method,
            "url": call.path,
            "headers": headers,
            "json": call.body,
        }

    def choose_pause(self, outcome: Outcome) -> float | None:
        """Seconds until the request is sent again after an attempt that ended so; None where it is not."""
        attempt, self._attempt = self._attempt, self._attempt + 1
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in _BUSY:
                return None
            return self._retries.choose_pause(attempt, read_retry_after(outcome))
        return self._retries.choose_pause(attempt) if isinstance(outcome, _BROKEN) else None

    def read_answer(self, outcome: Outcome) -> Answer:
        """What the last attempt brought.

        Raises ServiceUnreachable where nobody answered, the ServingError, KeyNotFound or NoChampion that a
        status stands for, and ServingError for an answer that is not of this service.
        """
        if isinstance(outcome, httpx.DecodingError):
            raise ServingError(
                f"{self._base_url}: an answer that cannot be decoded: {outcome}", hint=_FOREIGN_HINT
            )
        if not isinstance(outcome, httpx.Response):
            raise ServiceUnreachable(
                f"the prediction service at {self._base_url} does not answer:"
                f" {outcome or type(outcome).__name__}",
                hint="see `evergreen status`: a service runs for each use case that has a champion",
            ) from outcome
        body = _parse_object(outcome)
        if outcome.is_success and body is not None and self._call.has_values(body):
            return self._call.read(body)
        error = body.get("error") if body is not None else None
        if outcome.is_success or not isinstance(error, dict) or "message" not in error:
            message, hint = f"{outcome.status_code} {outcome.text[:200]!r}", _FOREIGN_HINT
        else:
            message, hint = str(error["message"]), str(error.get("hint", ""))
        error_class = _ERRORS.get(outcome.status_code, ServingError)
        raise error_class(f"{self._base_url}: {message}", hint=hint)


def read_retry_after(response: httpx.Response, now: datetime | None = None) -> float | None:
    """Seconds until the service wants to be asked again; None where it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _parse_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except (ValueError, RecursionError):  # a number may be too long, and lists may be too deep
        return None
    return body if isinstance(body, dict) else None
