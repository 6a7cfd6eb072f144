"""Requests to MLflow: plain REST for frequent reads, MLflow's own client for the rest, and their errors.

`import mlflow` takes seconds and 100 MB, so functions here import it when they are called, and what the
service, the supervisor and the command line read every few seconds goes over REST when the tracking URI is
http(s). A `sqlite:` store (tests, or a library user without a server) is read through MLflow's client.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from evergreen.errors import NotRegistered, RegistryError, RegistryUnreachable
from evergreen.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# How long a training waits for an MLflow that does not answer.
MAXIMUM_RETRY_SECONDS = 120.0
# MLflow's error code for a model, a version or an alias that it does not have.
ABSENT = "RESOURCE_DOES_NOT_EXIST"
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)

# MLflow must neither report usage to anybody nor draw progress bars into task logs, and must give up within
# seconds, not minutes, on a server that does not answer.
_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}

_DISK_FULL_CODES = (errno.ENOSPC, errno.EDQUOT)
# A full disk in the messages of SQLite, and of a server that passes on such an error.
_DISK_FULL_MESSAGE = re.compile("disk is full|No space left on device|Disk quota exceeded")
# urllib3's message for a server that answers every retry with an error of its own.
_SERVER_FAILED_MESSAGE = re.compile(r"too many 5\d\d error responses")


def uses_http(settings: Settings) -> bool:
    """Whether the tracking URI names a server rather than a database."""
    return settings.mlflow_tracking_uri.startswith(("http://", "https://"))


def create_mlflow_client(settings: Settings) -> MlflowClient:
    """An `mlflow.MlflowClient` on the tracking URI. Raises RegistryUnreachable when nothing answers there."""
    quiet_mlflow()
    if uses_http(settings):
        send_get_request(settings, "/health")
    from mlflow import MlflowClient

    with translate_mlflow_errors(settings):
        return MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)


def format_public_address(settings: Settings) -> str:
    """The tracking URI without user name and password, for messages."""
    uri = settings.mlflow_tracking_uri.rstrip("/")
    scheme, separator, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if uses_http(settings) else uri


def set_process_tracking_uri(settings: Settings) -> None:
    """Make the tracking URI the default of MLflow in this process.

    MLflow's functions for models and artifacts take no client and use that default. Both the tracking and the
    registry URI are set, because MLflow would otherwise take the latter from the environment.
    """
    import mlflow

    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(settings.mlflow_tracking_uri)


def quiet_mlflow() -> None:
    """Set MLflow's environment variables: no telemetry, no progress bars, short retries.

    Variables that are set already stay. MLflow reads them when it is imported, so call this before.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def translate_mlflow_errors(settings: Settings) -> Iterator[None]:
    """Raise errors of MLflow, of its HTTP client and of its database as this package's errors.

    RegistryUnreachable where no server answers or it fails, NotRegistered for what MLflow does not have,
    RegistryError for other refusals and for a full disk.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (NoConnection, Timeout, SQLAlchemyError, MlflowException) as error:
        if _DISK_FULL_MESSAGE.search(str(error)):
            raise _build_disk_full_error(error) from error
        if not isinstance(error, MlflowException):
            raise _build_unreachable_error(settings, error) from error
        if isinstance(error.__cause__, NoConnection | Timeout) or "API request to" in str(error):
            raise _build_unreachable_error(settings, error) from error
        kind = NotRegistered if error.error_code == ABSENT else RegistryError
        raise kind(f"MLflow refused: {_read_first_line(error)}", hint="see MLflow's log") from error
    except OSError as error:
        if error.errno not in _DISK_FULL_CODES:
            raise
        raise _build_disk_full_error(error) from error


def retry_while_unreachable(work: Callable[[], Result], seconds: float = MAXIMUM_RETRY_SECONDS) -> Result:
    """Call `work` until MLflow answers, for at most that long, and return its result.

    So a server that is restarted does not end a training of hours. `work` may be called after it was done in
    part, and must be idempotent. Raises RegistryUnreachable in the end, other errors at once.
    """
    began = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return work()
        except RegistryUnreachable as error:
            if time.monotonic() - began + pause > seconds:
                raise
            logger.warning("%s; trying again in %.0f s", error.message, pause)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def send_get_request(
    settings: Settings, path: str, params: Mapping[str, str] | None = None
) -> httpx.Response:
    """The response of the tracking server to a GET, whatever its status.

    Raises RegistryUnreachable within seconds when it does not answer, or answers 502, 503 or 504.
    """
    uri = settings.mlflow_tracking_uri.rstrip("/")
    try:
        response = _get_http_client(uri).get(f"{uri}{path}", params=params)
    except httpx.HTTPError as error:
        raise _build_unreachable_error(settings, error) from error
    if response.status_code in (502, 503, 504):
        raise _build_unreachable_error(settings, Exception(f"it answers {response.status_code}"))
    return response


def send_delete_request(settings: Settings, path: str, body: Mapping[str, str]) -> httpx.Response:
    """The response of the tracking server to a DELETE with a JSON body. Raises as `send_get_request` does."""
    uri = settings.mlflow_tracking_uri.rstrip("/")
    try:
        response = _get_http_client(uri).request("DELETE", f"{uri}{path}", json=dict(body))
    except httpx.HTTPError as error:
        raise _build_unreachable_error(settings, error) from error
    if response.status_code in (502, 503, 504):
        raise _build_unreachable_error(settings, Exception(f"it answers {response.status_code}"))
    return response


def parse_response(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in the body of a successful response.

    Raises RegistryUnreachable when the server itself failed (5xx), NotRegistered for what MLflow does not
    have, RegistryError for other refusals; each with MLflow's own reason.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    reason = body.get("message") if isinstance(body, dict) else response.text[:200]
    message = f"MLflow answered {response.status_code} for {response.request.url.path}: {reason}"
    if response.is_server_error:
        raise RegistryUnreachable(message, hint="see MLflow's log, and try again")
    kind = NotRegistered if isinstance(body, dict) and body.get("error_code") == ABSENT else RegistryError
    raise kind(message, hint="is EVERGREEN_MLFLOW_TRACKING_URI the address of an MLflow server?")


@lru_cache(maxsize=8)
def _get_http_client(uri: str) -> httpx.Client:
    # Cached, because a new client loads certificates, which takes longer than the request itself.
    return httpx.Client(timeout=_TIMEOUT)


def _build_unreachable_error(settings: Settings, error: Exception) -> RegistryUnreachable:
    if match := _SERVER_FAILED_MESSAGE.search(str(error)):
        return RegistryUnreachable(
            f"MLflow at {format_public_address(settings)} fails: {match[0]}",
            hint="see MLflow's log; a full disk there looks like this, too",
        )
    return RegistryUnreachable(
        f"MLflow does not answer at {format_public_address(settings)}: {_read_first_line(error)}",
        hint="start the stack (evergreen up), or mend EVERGREEN_MLFLOW_TRACKING_URI",
    )


def _build_disk_full_error(error: Exception) -> RegistryError:
    lines = [line for line in str(error).splitlines() if _DISK_FULL_MESSAGE.search(line)]
    return RegistryError(
        f"the disk is full: {(lines or [_read_first_line(error)])[0][:300]}",
        hint="make room and run the same training again: it goes on with what was done",
    )


def _read_first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
