"""Deploy: is the service up, does it serve the champion, and does it answer as the champion should?

The service loads a new champion by itself. These functions, each a task of the deploy DAG, check that it did,
and roll back a champion that answers badly. Where the use case declares a trial (`candidate_trial.py`),
a candidate is tried before it becomes champion.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NotRequired, TypedDict

from evergreen.errors import ServiceUnreachable, ServingError
from evergreen.loop.deployment.candidate_trial import (
    CandidateTrial,
    is_trial_over,
    settle_candidate_trial,
    start_candidate_trial,
)
from evergreen.loop.train_results import PromotionResult
from evergreen.registry.actor import DEPLOY
from evergreen.registry.champion import Champion, require_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.rollback import withdraw_champion
from evergreen.serving.calls.client import open_own_client
from evergreen.serving.probe import ProbeDocument, ProbeReport, collect_probe_rows, send_probe_requests
from evergreen.serving.standing import (
    ServiceStatus,
    build_service_status,
    format_container_name,
    format_restart_command,
)
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.usecases import load_use_case
from evergreen.waiting import wait_until

_POLL_SECONDS = 0.5
_TRIAL_POLL_SECONDS = 5.0


class HealthResult(TypedDict):
    """Where the service answers, and after how many seconds it did."""

    url: str
    seconds: float


class ServingResult(TypedDict):
    """The version that the service answers with, and after how many seconds it did."""

    model_version: int
    seconds: float


class FinalResult(TypedDict):
    """The version that was judged by so many probe `rows`.

    `overtaken_by` is there when nothing was done about bad answers, because another version is champion by
    now (None: there is no champion).
    """

    model_version: int
    rows: int
    overtaken_by: NotRequired[int | None]


class TrialSteps(TypedDict, total=False):
    """The results of a candidate's trial; empty where none waited for one."""

    trial: CandidateTrial
    settle: PromotionResult


class DeployResult(TypedDict):
    """The results of the steps by the names of the DAG's tasks; `trial` and `settle` only where a candidate
    was tried."""

    healthy: HealthResult
    trial: NotRequired[CandidateTrial]
    settle: NotRequired[PromotionResult]
    serving_champion: ServingResult
    probe: ProbeDocument
    finalize: FinalResult


def run_deploy(settings: Settings, use_case_name: str) -> DeployResult:
    """All steps in order; it takes as long as a declared trial does."""
    healthy = wait_until_healthy(settings, use_case_name)
    trial = try_candidate(settings, use_case_name)
    serving_champion = wait_for_champion(settings, use_case_name)
    report = probe_service(settings, use_case_name)
    return {
        "healthy": healthy,
        **trial,
        "serving_champion": serving_champion,
        "probe": report,
        "finalize": finalize_deployment(settings, use_case_name, report),
    }


def try_candidate(settings: Settings, use_case_name: str) -> TrialSteps:
    """Try the candidate that waits for a trial, if there is one, and promote or reject it afterwards."""
    started = start_candidate_trial(settings, use_case_name)
    if started["trial"] is None:
        return {}
    # It ends with the trial's declared time at the latest, also where no service is there to end it.
    wait_until(lambda: is_trial_over(settings, use_case_name, started), poll_seconds=_TRIAL_POLL_SECONDS)
    return {"trial": started, "settle": settle_candidate_trial(settings, started)}


def wait_until_healthy(
    settings: Settings, use_case_name: str, timeout_seconds: float = 120.0
) -> HealthResult:
    """Wait until the service answers; the supervisor may have just begun to start it.

    Raises ServiceUnreachable.
    """
    url = find_service_url(settings, use_case_name)
    began = time.monotonic()
    trouble: ServiceUnreachable | None = None
    with open_own_client(settings, url, timeout=5.0) as client:

        def does_answer() -> bool:
            """Whether the service answers; keeps why not."""
            nonlocal trouble
            try:
                client.metadata()
            except ServiceUnreachable as error:
                trouble = error
                return False
            return True

        if wait_until(does_answer, timeout_seconds, poll_seconds=_POLL_SECONDS):
            return {"url": url, "seconds": round(time.monotonic() - began, 1)}
    assert trouble is not None
    raise trouble


def wait_for_champion(settings: Settings, use_case_name: str, timeout_seconds: float = 60.0) -> ServingResult:
    """Wait until the service answers with the champion's version and holds the present declaration.

    Raises NoChampion, or ServingError with the service's own reason. A service that holds another declaration
    than the files is waited for while it follows its declaration, and refused at once where it does not:
    probe requests drawn from the new one would blame the champion for it.
    """
    began = time.monotonic()
    use_case, url = load_use_case(use_case_name, settings), find_service_url(settings, use_case_name)
    champion: Champion
    status: ServiceStatus
    with open_own_client(settings, url, timeout=5.0) as client:

        def is_decided() -> bool:
            """Whether the service is where it should be, or holds a declaration that it will not change."""
            nonlocal champion, status
            # Asked each time: another training run may promote its candidate while this one waits.
            champion = require_champion(settings, use_case_name)
            status = build_service_status(client.metadata(), url, use_case, champion)
            return not status.follows if status.outdated else not status.behind

        wait_until(is_decided, timeout_seconds, poll_seconds=_POLL_SECONDS)
    if status.outdated:
        raise ServingError(
            f"the service of {use_case_name} at {url} {status.describe()}"
            + (f" (it says: {status.trouble})" if status.trouble else ""),
            hint=status.declaration_hint
            or f"run {format_restart_command(use_case_name)}, then this again; in containers:"
            f" docker compose restart {format_container_name(use_case_name)}",
        )
    if status.behind:
        raise ServingError(
            f"{use_case_name} is served by version {status.serves} and not by the champion, "
            f"version {champion.version}: {status.trouble or 'the service has not noticed it'}",
            hint="see the service's log; `evergreen status` shows where it is",
        )
    return {"model_version": champion.version, "seconds": round(time.monotonic() - began, 1)}


def probe_service(settings: Settings, use_case_name: str, now: datetime | None = None) -> ProbeDocument:
    """Send drawn and recently logged rows and compare the service's answers with the champion's own.

    `now` (aware; None: this moment) is up to when logged rows are read. Raises nothing for bad answers:
    `finalize_deployment` judges them.
    """
    use_case = load_use_case(use_case_name, settings)
    champion = require_champion(settings, use_case_name)
    rows = collect_probe_rows(settings, use_case, champion.version, now or datetime.now(UTC))
    url = find_service_url(settings, use_case_name)
    return send_probe_requests(settings, use_case, url, champion.version, rows).to_json()


def finalize_deployment(settings: Settings, use_case_name: str, probe: ProbeDocument) -> FinalResult:
    """Accept good answers; after bad ones give the alias back to the former champion and record it.

    Where the version that answered badly is no longer champion and its predecessor is not either, nothing is
    written. Raises ServingError after a rollback, or without a former champion to go back to.
    """
    report = ProbeReport.from_json(probe)
    version = report.model_version
    if report.passed:
        return {"model_version": version, "rows": report.rows}
    reason = report.describe()
    database = get_engine(settings)
    with lock_use_case(database, use_case_name):
        withdrawal = withdraw_champion(
            settings, database, load_use_case(use_case_name, settings), version, actor=DEPLOY, reason=reason
        )
    if withdrawal.outcome == "overtaken":
        overtaken_by = withdrawal.champion_version
        return {"model_version": version, "rows": report.rows, "overtaken_by": overtaken_by}
    former = withdrawal.former_version
    if withdrawal.outcome == "restored":
        hint = f"version {former} is champion again; see the service's log"
    elif former is not None:
        hint = f"it stays champion, because version {former} cannot take over: {withdrawal.obstacle}"
    else:
        hint = "there is no former champion to go back to: see the service's log and train again"
    raise ServingError(f"{use_case_name} version {version} answers badly, {reason}", hint=hint)


def find_service_url(settings: Settings, use_case_name: str) -> str:
    """The address of a use case's service. Raises ServiceUnreachable when the settings have none."""
    url = settings.service_urls.get(use_case_name)
    if not url:
        raise ServiceUnreachable(
            f"the address of {use_case_name}'s prediction service is not known",
            hint=f'start the stack, or set EVERGREEN_SERVICE_URLS=\'{{"{use_case_name}": "http://host:port"}}\'',
        )
    return url
