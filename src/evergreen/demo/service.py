"""The demo's service must hold the declaration that the demo is about, before traffic is sent to it."""

from __future__ import annotations

from pathlib import Path

from evergreen.demo.stages import Stage
from evergreen.errors import DemoError, ServingError
from evergreen.serving.standing import ServiceStatus, format_container_name, read_service_status
from evergreen.settings import Settings
from evergreen.stack.restart import restart_named_server
from evergreen.usecase import UseCase
from evergreen.usecase.digest import shorten_digest


def find_outdated_service(settings: Settings, use_case: UseCase) -> ServiceStatus | None:
    """The service of a use case if one runs that holds another declaration than the files do now."""
    url = settings.service_urls.get(use_case.name)
    if not url:
        return None
    try:
        standing = read_service_status(url, use_case, None)
    except ServingError:
        return None
    return standing if standing.outdated else None


def refuse_outdated_service(settings: Settings, use_case: UseCase) -> None:
    """Raise DemoError for such a service, where the stack is not ours to restart anything in."""
    if standing := find_outdated_service(settings, use_case):
        raise DemoError(
            f"the service of {use_case.name} at {standing.url} holds an older declaration"
            f" ({_describe_change(standing)})",
            hint=f"docker compose restart {format_container_name(use_case.name)}, then this again",
        )


def restart_outdated_service(home: Path, standing: ServiceStatus, stage: Stage) -> None:
    """Restart a service of the embedded stack. Nothing is lost: the demo has just erased its models."""
    restart_named_server(home, standing.use_case, force=True, progress=stage.say)
    stage.happened = f"it held an older declaration ({_describe_change(standing)}): restarted"


def _describe_change(standing: ServiceStatus) -> str:
    return f"{shorten_digest(standing.declaration)}, now {shorten_digest(standing.declared)}"
