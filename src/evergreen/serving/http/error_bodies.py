"""The service's answers to bad requests: JSON with the field and the reason, and never a stack trace."""

from __future__ import annotations

import difflib
import logging
import reprlib
from collections.abc import Sequence
from typing import TypedDict, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evergreen.errors import EvergreenError
from evergreen.serving.http.bodies import ErrorBody, FieldReason
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

_MOST_FIELDS = 20
_BYTES_PER_ROW = 4096
_SMALLEST_LIMIT = 1_000_000


class _Fault(TypedDict, total=False):
    """One error as pydantic reports it; `ctx` has what else belongs to its type."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: object
    ctx: dict[str, str]


def build_error_response(
    status: int, kind: str, message: str, hint: str = "", fields: Sequence[FieldReason] = ()
) -> JSONResponse:
    """An error answer, all of which have this form; `kind` is the name of the error's class."""
    body: ErrorBody = {"error": {"type": kind, "message": message, "hint": hint, "fields": list(fields)}}
    return JSONResponse(body, status_code=status)


def compute_body_limit(use_case: UseCase) -> int:
    """How many bytes a request body may have."""
    return max(_SMALLEST_LIMIT, use_case.serving.max_batch * _BYTES_PER_ROW)


class BodyLimit:
    """ASGI middleware that refuses a body of more than `limit` bytes before it is in memory."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body as it comes in; too large a one is answered with 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                await _build_too_large_response(self._limit)(scope, receive, send)
                return
        received = 0

        async def _receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413)
            return message

        await self._app(scope, _receive_limited, send)


def _build_too_large_response(limit: int) -> JSONResponse:
    return build_error_response(
        413,
        "InvalidRequest",
        f"the body has more than {limit:,} bytes",
        "send fewer rows at a time to /predict_batch",
    )


def add_error_handlers(app: FastAPI, use_case: UseCase) -> None:
    """Make the app answer every error with `build_error_response`."""
    field_names = [*use_case.entity.key_names, *(f.name for f in use_case.stored_features)]

    async def _answer_error(request: Request, error: Exception) -> JSONResponse:
        return build_fault_response(request.url.path, error)

    async def _answer_invalid_body(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _build_invalid_response(request, cast("Sequence[_Fault]", error.errors()), field_names)

    async def _answer_http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 413:
            return _build_too_large_response(compute_body_limit(use_case))
        if error.status_code == 400:
            return _build_not_json_response("not UTF-8 text, too deeply nested, or a number without end")
        return build_error_response(
            error.status_code, "InvalidRequest", str(error.detail), "see / for what there is"
        )

    app.add_exception_handler(EvergreenError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_body)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_error)


def build_fault_response(path: str, error: Exception) -> JSONResponse:
    """The answer to a request that ended with an error: one of Evergreen's tree, or a fault of the service,
    of which only the log has the details."""
    if isinstance(error, EvergreenError):
        return build_error_response(error.http_status, type(error).__name__, error.message, error.hint)
    logger.error("a request to %s failed", path, exc_info=error)
    return build_error_response(
        500, "InternalError", "the service failed on this request", "its log has the details"
    )


def _build_not_json_response(reason: str) -> JSONResponse:
    return build_error_response(
        400,
        "InvalidRequest",
        f"the body cannot be read as JSON: {reason}",
        'send JSON such as {"data": {...}}; / documents every field',
        [{"field": "body", "reason": reason}],
    )


def _build_invalid_response(
    request: Request, faults: Sequence[_Fault], field_names: Sequence[str]
) -> JSONResponse:
    for fault in faults:
        if fault["type"] == "json_invalid":
            return _build_not_json_response(f"{fault['ctx']['error']} at character {fault['loc'][-1]}")
        if fault["loc"] == ("body",) and isinstance(fault.get("input"), bytes):
            # FastAPI leaves the body as bytes when the content type is not JSON.
            content_type = request.headers.get("content-type", "none")
            return build_error_response(
                400,
                "InvalidRequest",
                f"the content type is {content_type[:80]!r}, not application/json",
                "send the header Content-Type: application/json",
                [{"field": "content-type", "reason": "must be application/json"}],
            )
    fields: list[FieldReason] = [
        {"field": _format_field(fault["loc"]), "reason": _describe_fault(fault, field_names)}
        for fault in faults
    ]
    first = fields[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return build_error_response(
        422,
        "InvalidRequest",
        f"{first['field']}: {first['reason']}{more}",
        "mend the fields named here; / documents every field",
        fields[:_MOST_FIELDS],
    )


def _format_field(location: Sequence[str | int]) -> str:
    """The name of a field: `age` in a single row, `data[3].age` in a batch, `body` for the whole body."""
    path = list(location[1:])
    if path and path[0] == "data" and len(path) > 1 and isinstance(path[1], str):
        path = path[1:]
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "body"


def _describe_fault(fault: _Fault, field_names: Sequence[str]) -> str:
    """The reason why pydantic refuses a field."""
    if fault["type"] == "missing":
        return "Field required"
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])
        if name in field_names:
            return 'not here: the fields belong under "data", as in {"data": {...}}'
        near = difflib.get_close_matches(name, field_names, n=1)
        return f"unknown field{f'; did you mean {near[0]!r}?' if near else ''}"
    return f"{fault['msg']}, not {reprlib.repr(fault.get('input'))}"
