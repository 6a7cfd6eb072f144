"""The demo's service: it must hold the present declaration of the use case before requests are sent to it;
and how people ask it afterwards."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from evergreen.demo.stages import Stage
from evergreen.errors import DemoError, ServingError
from evergreen.serving.access.key_ring import load_key_ring
from evergreen.serving.access.listening import is_exposed
from evergreen.serving.standing import ServiceStatus, format_container_name, read_service_status
from evergreen.settings import Settings
from evergreen.stack.processes.stack_state import read_state
from evergreen.stack.restart import restart_named_server
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest


def find_outdated_service(settings: Settings, use_case: UseCase) -> ServiceStatus | None:
    """The status of a use case's service if it runs with another declaration than the files have now."""
    url = settings.service_urls.get(use_case.name)
    if not url:
        return None
    try:
        status = read_service_status(settings, url, use_case, None)
    except ServingError:
        return None
    return status if status.outdated else None


def refuse_outdated_service(settings: Settings, use_case: UseCase) -> None:
    """Raise DemoError if the use case's service is outdated; for a platform that the demo did not start and
    so does not restart."""
    if status := find_outdated_service(settings, use_case):
        raise DemoError(
            f"the service of {use_case.name} at {status.url} holds an older declaration"
            f" ({_describe_change(status)})",
            hint=f"docker compose restart {format_container_name(use_case.name)}, then this again",
        )


def restart_outdated_service(home: Path, status: ServiceStatus, stage: Stage) -> None:
    """Restart an outdated service of the embedded stack. It serves no model then, because the demo has just
    erased them."""
    restart_named_server(home, status.use_case, force=True, progress=stage.say)
    stage.happened = f"it held an older declaration ({_describe_change(status)}): restarted"


def format_example_request(settings: Settings, url: str, key: Mapping[str, int | str]) -> str:
    """The command that asks the service at `url` for the prediction of a stored entity.

    Where the service wants an API key, the command has it from the variable EVERGREEN_API_KEY. Raises
    SettingsError and UntrustedFolder, as the keys of the settings do.
    """
    wants_key = is_exposed([urlsplit(url).hostname or ""]) or load_key_ring(settings).has_guests
    sign_in = ' -H "Authorization: Bearer $EVERGREEN_API_KEY"' if wants_key else ""
    body = shlex.quote(json.dumps({"data": key}))
    return f"curl {url}/predict_by_key{sign_in} -H 'content-type: application/json' -d {body}"


def describe_trouble(home: Path, process: str) -> str:
    """What is wrong with a server of the embedded stack, with its log file; "" if nothing is."""
    state = read_state(home)
    for server in state.processes if state else ():
        if server.name == process and server.state != "ready":
            trouble = ": ".join(filter(None, (server.state, server.detail or server.last_exit)))
            return f"{process} is {trouble}" + (f" (log: {server.log})" if server.log else "")
    return ""


def _describe_change(status: ServiceStatus) -> str:
    return f"{shorten_digest(status.declaration)}, now {shorten_digest(status.declared)}"
