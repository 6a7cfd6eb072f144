"""The log of a service's worker: as text, or as JSON, an object a line; each record with its request's id.

Records hold no value of a request. Whoever logs names ids, counts, fields and versions; unexpected errors are
logged without their messages (`http/failures.py`).
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from evergreen.serving.guard.request_ids import get_request_id
from evergreen.serving.http.failures import describe_failure
from evergreen.settings import Settings


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (ISO 8601, UTC), level, logger, message, request_id, error."""

    def __init__(self, use_case_name: str) -> None:
        super().__init__()
        self._use_case_name = use_case_name

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "use_case": self._use_case_name,
            "process": record.process,
        }
        if request_id := get_request_id():
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe_failure(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


class _RequestIdFormatter(logging.Formatter):
    """BentoML's own text with the request's id at the end of its first line."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The text for a record."""
        text = self._inner.format(record)
        request_id = get_request_id()
        if not request_id:
            return text
        first, line_break, rest = text.partition("\n")
        return f"{first} (request {request_id}){line_break}{rest}"


def configure_parent_log(settings: Settings) -> None:
    """Give Evergreen's records in the parent process of a service the form of its workers' records.

    BentoML configures the log of its command there, which shows no records of others.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(settings.use_case)
        if settings.log_format == "json"
        else logging.Formatter("%(asctime)s [%(levelname)s] [evergreen] %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    logger = logging.getLogger("evergreen")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def configure_log(settings: Settings) -> None:
    """Set the form of every handler that BentoML gave its worker, and let Evergreen log what succeeds."""
    # BentoML sets the root logger to warnings.
    logging.getLogger("evergreen").setLevel(logging.INFO)
    # uvicorn composes an access record for each request if anything might handle it. The guard counts them.
    logging.getLogger("uvicorn.access").propagate = False
    for handler in _list_handlers():
        if settings.log_format == "json":
            handler.setFormatter(JsonFormatter(settings.use_case))
        elif handler.formatter is not None and not isinstance(handler.formatter, _RequestIdFormatter):
            handler.setFormatter(_RequestIdFormatter(handler.formatter))


def configure_shipper_log(settings: Settings) -> None:
    """Set up the log of a shipper, which writes to the same place as its worker, in the same form."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(settings.use_case)
        if settings.log_format == "json"
        else logging.Formatter("%(asctime)s [shipper] [%(levelname)s] %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _list_handlers() -> list[logging.Handler]:
    loggers = [logging.getLogger(), logging.getLogger("bentoml"), logging.getLogger("uvicorn.error")]
    return list({id(handler): handler for logger in loggers for handler in logger.handlers}.values())
