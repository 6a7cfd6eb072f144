"""`evergreen restart`: end one server of the running stack gracefully, and start it anew."""

from __future__ import annotations

import difflib
import functools
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from evergreen.documents import JsonObject
from evergreen.errors import (
    ChildFailed,
    EvergreenError,
    NoChampion,
    SignatureMismatch,
    StackError,
    StackNotRunning,
)
from evergreen.registry.champion import read_champion
from evergreen.registry.models import load_model
from evergreen.serving.calls.client import open_own_client
from evergreen.serving.standing import ServiceStatus, format_container_name, read_service_status
from evergreen.settings import Settings, load_settings
from evergreen.stack.deploy.facts import SERVICE_PREFIX
from evergreen.stack.processes import logs
from evergreen.stack.processes.home import RESTART_LOCK, hold_lock
from evergreen.stack.processes.requests import (
    RestartRequest,
    has_request,
    withdraw_request,
    write_request,
)
from evergreen.stack.processes.stack_state import ProcessState, StackState, is_stack_supervised, read_state
from evergreen.stack.servers.envfile import collect_restart_settings
from evergreen.stack.status import Progress
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case
from evergreen.waiting import wait_until

# A supervisor looks ten times a second; one that was started by an earlier version never does.
TAKE_REQUEST_SECONDS = 15.0
# The longest that a server may take to end and to become ready.
READY_SECONDS = 360.0
_POLL_SECONDS = 0.1

_NOT_RESTARTED_ALONE = {
    "mariadb": (
        "every other server works on it, and it would come back with the very options that it has",
        "evergreen down, then evergreen up: that ends the others first",
    )
}


@dataclass(frozen=True)
class Restart:
    """A process that was started anew: its name, pid and URL ("" without one), and how long it took."""

    name: str
    pid: int | None
    url: str
    seconds: float

    def to_json(self) -> JsonObject:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class ServiceRestart(Restart):
    """A restarted service: also its use case, and what it serves now; None if it does not answer."""

    use_case: str
    standing: ServiceStatus | None

    def to_json(self) -> JsonObject:
        """For `--json`."""
        return {**asdict(self), "standing": self.standing.to_json() if self.standing else None}


def restart_named_server(
    home: Path, name: str, *, force: bool = False, progress: Progress | None = None
) -> Restart:
    """Restart the server `name`: a use case (its service) or a process, as `evergreen status` shows them.

    A service is refused while its declaration cannot be loaded, and, unless `force`, while it would have no
    model afterwards although it has one now. Of a service a ServiceRestart is returned.

    Raises StackNotRunning, UseCaseError with the file and line, SignatureMismatch, NoChampion, ChildFailed
    with the end of the log, StackError for an unknown name.
    """
    home = home.resolve()
    settings = load_settings(home)
    process = find_server(_read_running_stack(home, settings, name), settings, name)
    if not process.name.startswith(SERVICE_PREFIX):
        return restart_process(home, process.name, progress=progress)
    use_case = load_use_case(process.name.removeprefix(SERVICE_PREFIX), settings)
    if not force:
        require_model_after_restart(settings, use_case, process.url)
    environment = collect_restart_settings(settings)
    restarted = restart_process(home, process.name, environment=environment, progress=progress)
    return ServiceRestart(
        **asdict(restarted),
        use_case=use_case.name,
        standing=_read_service_status(settings, use_case, process.url),
    )


def restart_process(
    home: Path, name: str, *, environment: dict[str, str] | None = None, progress: Progress | None = None
) -> Restart:
    """Have the supervisor restart the process of that name, and wait until it is ready again.

    `environment` is added to what the process had. Of several callers at once each gets a process that was
    started after its call; one process may do for several. Raises StackNotRunning when the supervisor ends,
    ChildFailed when the process does not come up.
    """
    home, began = home.resolve(), time.monotonic()
    report = progress or (lambda _: None)
    before = _read_process(home, name).request
    # Without arguments a cached function is called once: the wait is reported once.
    report_wait = functools.cache(lambda: report("waiting for another restart"))
    with hold_lock(home, RESTART_LOCK, report_wait, poll_seconds=_POLL_SECONDS):
        request = _read_process(home, name).request
        if request == before:  # else somebody's restart, since we were called, is ours as well
            request = str(uuid.uuid4())
            write_request(home, RestartRequest(request, name, environment or {}))
            _wait_until_request_taken(home, name)
        process = _wait_until_ready(home, name, request, report)
    return Restart(name, process.pid, process.url, round(time.monotonic() - began, 1))


def find_server(state: StackState, settings: Settings, name: str) -> ProcessState:
    """The process that a person means by a use case's name or a process' own.

    Raises StackError: with the nearest name and all names, for what is no server or may not be restarted.
    """
    servers = {each.name: each for each in state.processes if not each.one_off}
    process = servers.get(name) or servers.get(f"{SERVICE_PREFIX}{name}")
    if process is None:
        if name.removeprefix(SERVICE_PREFIX) in settings.service_urls:
            use_case_name = name.removeprefix(SERVICE_PREFIX)
            raise StackError(
                f"the service of {use_case_name} does not run: it starts by itself with the first champion",
                hint=f"train one: evergreen train {use_case_name}",
            )
        names = sorted(each.removeprefix(SERVICE_PREFIX) for each in servers)
        near = difflib.get_close_matches(name, [*names, *servers], n=1)
        raise StackError(
            f"the stack has no server {name!r}",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"It has {', '.join(names)}",
        )
    if process.name in _NOT_RESTARTED_ALONE:
        reason, instead = _NOT_RESTARTED_ALONE[process.name]
        raise StackError(f"{process.name} is not restarted alone: {reason}", hint=instead)
    return process


def require_model_after_restart(settings: Settings, use_case: UseCase, url: str) -> None:
    """Raise while a service that has a model would have none after a restart.

    NoChampion, SignatureMismatch, RegistryUnreachable; nothing when it has no model now either.
    """
    try:
        with open_own_client(settings, url, timeout=3.0) as client:
            served_version = client.metadata()["model_version"]
    except EvergreenError:
        return  # it answers nothing now, so a restart cannot make it worse
    if served_version is None:
        return
    name, force_hint = use_case.name, f"evergreen restart {use_case.name} --force restarts it all the same"
    champion = read_champion(settings, name)
    if champion is None:
        raise NoChampion(
            f"the service of {name} answers with v{served_version}, and would have no model after a restart:"
            " nobody is champion in MLflow",
            hint=f"evergreen rollback {name}, or evergreen train {name}; {force_hint}",
        )
    try:
        load_model(settings, use_case, champion.version)
    except SignatureMismatch as error:
        raise SignatureMismatch(
            f"the service of {name} answers with v{served_version}, and would have no model after a restart:"
            f" {error.message}",
            hint=f"train a model of the new declaration first: evergreen train {name}, then this again;"
            f" or undo the change; {force_hint}",
        ) from error


def _read_running_stack(home: Path, settings: Settings, name: str) -> StackState:
    """The state of the stack that runs in `home`. Raises StackNotRunning with what to do instead."""
    state = read_state(home)
    if state is not None and is_stack_supervised(home, state):
        return state
    is_use_case = name in settings.service_urls
    raise StackNotRunning(
        f"no stack runs in {home}, so nothing can be restarted there",
        hint="evergreen up starts it; in containers: docker compose restart "
        + (format_container_name(name) if is_use_case else "SERVICE"),
    )


def _read_process(home: Path, name: str) -> ProcessState:
    state = read_state(home)
    if state is None or not is_stack_supervised(home, state):
        raise StackNotRunning(
            f"the stack of {home} ended meanwhile", hint="evergreen status shows why; evergreen up"
        )
    process = next((process for process in state.processes if process.name == name), None)
    if process is None:
        raise StackError(f"the stack has no server {name!r} any more", hint="evergreen status shows them")
    return process


def _wait_until_request_taken(home: Path, name: str) -> None:
    """Wait until the supervisor has taken the request. Raises StackError when it does not look."""

    def is_taken() -> bool:
        """Whether the supervisor has taken the request."""
        _read_process(home, name)  # raises when the stack ends
        return not has_request(home)

    is_request_taken = wait_until(is_taken, TAKE_REQUEST_SECONDS, poll_seconds=_POLL_SECONDS)
    if not is_request_taken and withdraw_request(home):
        raise StackError(
            "the supervisor takes no requests: an earlier version of Evergreen started this stack",
            hint="evergreen down, then evergreen up",
        )


def _wait_until_ready(home: Path, name: str, request: str, report: Progress) -> ProcessState:
    """Wait until the process that was started for `request` is ready.

    Raises StackError when the stack ends, ChildFailed when the process does not come up.
    """
    process = _read_process(home, name)
    last_text = ""

    def is_ready() -> bool:
        """Whether the new process is ready; raises when it will not be."""
        nonlocal process, last_text
        process = _read_process(home, name)
        text = f"{name}: {process.state}" + (f", {process.detail}" if process.detail else "")
        is_started = process.request == request
        if text != last_text and (is_started or process.state == "restarting"):
            report(text)
            last_text = text
        if process.state in ("stopped", "failed"):
            raise StackError(
                f"{name} is {process.state}: the stack ends", hint="evergreen status shows why; evergreen up"
            )
        if is_started and process.state == "back-off":
            raise _build_not_ready_error(process)
        return is_started and process.state in ("ready", "unhealthy")

    if not wait_until(is_ready, READY_SECONDS, poll_seconds=_POLL_SECONDS):
        raise _build_not_ready_error(process)
    return process


def _build_not_ready_error(process: ProcessState) -> ChildFailed:
    log = Path(process.log)
    return ChildFailed(
        f"{process.name} does not come up again"
        f" ({process.state}: {process.detail or 'no reason known'})\n"
        f"The last lines of {log}:\n{logs.read_log_tail(log)}",
        hint="the log says why; the stack goes on trying",
    )


def _read_service_status(settings: Settings, use_case: UseCase, url: str) -> ServiceStatus | None:
    """What the service serves now; None if it does not answer, or nobody knows who is champion."""
    try:
        return read_service_status(settings, url, use_case, read_champion(settings, use_case.name))
    except EvergreenError:
        return None
