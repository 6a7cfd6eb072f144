"""The service's answers to bad requests: JSON with the field and the reason, and never a stack trace."""

from __future__ import annotations

import difflib
import json
import logging
import reprlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from evergreen.errors import EvergreenError
from evergreen.serving.guard.body_limits import compute_body_limits
from evergreen.serving.guard.routes import find_route
from evergreen.serving.http.bodies import ErrorBody, FieldReason
from evergreen.serving.http.failures import describe_failure
from evergreen.serving.http.first_faults import MOST_FAULTS
from evergreen.serving.http.public_errors import choose_public_words
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

_LONGEST_NAME = 200
LATE_HINT = "send it at once; EVERGREEN_REQUEST_SECONDS is the time that it may take"
BUSY_HINT = "send it again in some seconds, or fewer large bodies at the same time"
# The kind of error and what to do next, for bodies that are refused while they arrive.
_WORDS_BY_STATUS = {408: ("InvalidRequest", LATE_HINT), 503: ("ServiceBusy", BUSY_HINT)}
# A name beyond this is no misspelt one of ours, and comparing it would take time.
_LONGEST_MISSPELLING = 80


class Fault(TypedDict, total=False):
    """One error as pydantic reports it; `ctx` has what else belongs to its type."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: object
    ctx: dict[str, str]


class Refusal(NamedTuple):
    """Why a value was refused: its field ("" for the body itself), and pydantic's name of the fault."""

    field: str
    kind: str


def build_error_response(
    status: int, kind: str, message: str, hint: str = "", fields: Sequence[FieldReason] = ()
) -> JSONResponse:
    """An error answer, all of which have this form; `kind` is the name of the error's class."""
    body: ErrorBody = {"error": {"type": kind, "message": message, "hint": hint, "fields": list(fields)}}
    return JSONResponse(body, status_code=status)


def encode_error(kind: str, message: str, hint: str = "") -> bytes:
    """The body of an error answer that names no fields, as JSON."""
    body: ErrorBody = {"error": {"type": kind, "message": message, "hint": hint, "fields": []}}
    return json.dumps(body, ensure_ascii=False).encode()


def encode_too_large(limit: int) -> bytes:
    """The body of the answer to a body of more than `limit` bytes."""
    return encode_error("InvalidRequest", *_word_too_large(limit))


def _word_too_large(limit: int) -> tuple[str, str]:
    return f"the body has more than {limit:,} bytes", "send fewer rows at a time to /predict_batch"


def add_error_handlers(
    app: FastAPI, use_case: UseCase, count_refusal: Callable[[Sequence[Refusal]], None] = lambda _: None
) -> None:
    """Make the app answer every error with `build_error_response`.

    `count_refusal` gets the field and the kind of each fault of a body that is refused for its values.
    """
    limits = compute_body_limits(use_case)
    field_names = list_field_names(use_case)

    async def _answer_error(request: Request, error: Exception) -> JSONResponse:
        return build_fault_response(request.url.path, error)

    async def _answer_invalid_body(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = cast("Sequence[Fault]", error.errors())
        content_type = request.headers.get("content-type", "none")
        return build_invalid_response(faults, field_names, count_refusal, content_type)

    async def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 413:
            route = find_route(request.url.path)
            return build_error_response(
                413, "InvalidRequest", *_word_too_large(limits[route.body if route else "none"])
            )
        if error.status_code == 400:
            return build_unreadable_response()
        kind, hint = _WORDS_BY_STATUS.get(error.status_code, ("InvalidRequest", "see / for what there is"))
        response = build_error_response(error.status_code, kind, str(error.detail), hint)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(EvergreenError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_body)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_error)


def list_field_names(use_case: UseCase) -> list[str]:
    """The names of a request row's fields."""
    return [*use_case.entity.key_names, *(feature.name for feature in use_case.stored_features)]


def build_fault_response(path: str, error: Exception) -> JSONResponse:
    """The answer to a request that ended with an error: one of Evergreen's tree, or a fault of the service,
    of which only the log has the details."""
    if isinstance(error, EvergreenError):
        words = choose_public_words(error)
        return build_error_response(error.http_status, type(error).__name__, words.message, words.hint)
    route = find_route(path)
    logger.error("%s failed: %s", route.template if route else "an unknown path", describe_failure(error))
    return build_error_response(
        500, "InternalError", "the service failed on this request", "its log has the details"
    )


def build_unreadable_response() -> JSONResponse:
    """The answer to a body that Python's JSON parser does not read, although it may be JSON."""
    return _build_not_json_response("not UTF-8 text, too deeply nested, or a number of too many digits")


def _build_not_json_response(reason: str) -> JSONResponse:
    return build_error_response(
        400,
        "InvalidRequest",
        f"the body cannot be read as JSON: {reason}",
        'send JSON such as {"data": {...}}; / documents every field',
        [{"field": "body", "reason": reason}],
    )


def build_invalid_response(
    faults: Sequence[Fault],
    field_names: Sequence[str],
    count_refusal: Callable[[Sequence[Refusal]], None],
    content_type: str,
) -> JSONResponse:
    """The answer to a body with faults of pydantic's form; `field_names` are those of the declaration.

    Where its values are at fault, `count_refusal` gets the field and the kind of each.
    """
    for fault in faults:
        if fault["type"] == "json_invalid":
            return _build_not_json_response(f"{fault['ctx']['error']} at character {fault['loc'][-1]}")
        if fault["loc"] == ("body",) and isinstance(fault.get("input"), bytes):
            # FastAPI leaves the body as bytes when the content type is not JSON.
            return build_error_response(
                400,
                "InvalidRequest",
                f"the content type is {content_type[:80]!r}, not application/json",
                "send the header Content-Type: application/json",
                [{"field": "content-type", "reason": "must be application/json"}],
            )
    count_refusal([_name_refusal(fault) for fault in faults])
    # Limited before they are worded: to find a misspelt name takes a millisecond.
    fields: list[FieldReason] = [
        {"field": _format_field(fault["loc"]), "reason": _describe_fault(fault, field_names)}
        for fault in faults[:MOST_FAULTS]
    ]
    first = fields[0]
    # Validation stops soon after so many faults, so nobody knows how many there are beyond.
    at_least = "at least " if len(faults) >= MOST_FAULTS else ""
    more = f" (and {at_least}{len(faults) - 1} more)" if len(faults) > 1 else ""
    return build_error_response(
        422,
        "InvalidRequest",
        f"{first['field']}: {first['reason']}{more}",
        "mend the fields named here; / documents every field",
        fields,
    )


def _name_refusal(fault: Fault) -> Refusal:
    names = [part for part in fault["loc"][1:] if isinstance(part, str) and part != "data"]
    return Refusal(names[-1] if names else "", fault["type"])


def _format_field(location: Sequence[str | int]) -> str:
    """The name of a field: `age` in a single row, `data[3].age` in a batch, `body` for the whole body."""
    path = list(location[1:])
    if path and path[0] == "data" and len(path) > 1 and isinstance(path[1], str):
        path = path[1:]
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    if len(text) > _LONGEST_NAME:
        text = f"{text[:_LONGEST_NAME]}..."
    return text or "body"


def _describe_fault(fault: Fault, field_names: Sequence[str]) -> str:
    """The reason why pydantic refuses a field."""
    if fault["type"] == "missing":
        return "Field required"
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])
        if name in field_names:
            return 'not here: the fields belong under "data", as in {"data": {...}}'
        is_short = len(name) <= _LONGEST_MISSPELLING
        near = difflib.get_close_matches(name, field_names, n=1) if is_short else []
        return f"unknown field{f'; did you mean {near[0]!r}?' if near else ''}"
    return f"{fault['msg']}, not {reprlib.repr(fault['input'])}" if "input" in fault else fault["msg"]
