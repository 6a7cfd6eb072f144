"""The demo's service must hold the declaration that the demo is about, before traffic is sent to it."""

from __future__ import annotations

from pathlib import Path

from evergreen.demo.stages import Stage
from evergreen.errors import DemoError, ServingError
from evergreen.serving.standing import Standing, container_of, look_at_service
from evergreen.settings import Settings
from evergreen.stack.restart import restart
from evergreen.usecase import UseCase
from evergreen.usecase.digest import short_digest


def outdated_service(settings: Settings, use_case: UseCase) -> Standing | None:
    """The service of a use case if one runs that holds another declaration than the files do now."""
    url = settings.service_urls.get(use_case.name)
    if not url:
        return None
    try:
        standing = look_at_service(url, use_case, None)
    except ServingError:
        return None
    return standing if standing.outdated else None


def refuse_outdated(settings: Settings, use_case: UseCase) -> None:
    """Raise DemoError for such a service, where the stack is not ours to restart anything in."""
    if standing := outdated_service(settings, use_case):
        raise DemoError(
            f"the service of {use_case.name} at {standing.url} holds an older declaration"
            f" ({_change(standing)})",
            hint=f"docker compose restart {container_of(use_case.name)}, then this again",
        )


def restart_outdated_service(home: Path, standing: Standing, stage: Stage) -> None:
    """Restart a service of the embedded stack. Nothing is lost: the demo has just erased its models."""
    restart(home, standing.use_case, force=True, progress=stage.say)
    stage.happened = f"it held an older declaration ({_change(standing)}): restarted"


def _change(standing: Standing) -> str:
    return f"{short_digest(standing.declaration)}, now {short_digest(standing.declared)}"
