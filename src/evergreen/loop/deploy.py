"""Deploy: is the service up, does it serve the champion, and does it answer as the champion should?

The service swaps models by itself; these tasks prove that it did, and roll back a champion that serves badly.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from evergreen.errors import (
    EvergreenError,
    ServiceUnreachable,
    ServingError,
)
from evergreen.registry.champion import read_champion, require_champion
from evergreen.serving.client import ServiceClient
from evergreen.serving.standing import build_service_status, format_container_name
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

# Rows of a canary: drawn from the declaration, and real ones from the log.
DRAWN_PROBE_ROWS = 50
LOGGED_PROBE_ROWS = 50
# Probabilities that differ by less agree: they went through JSON and another order of summation.
TOLERANCE = 1e-9
_POLL_SECONDS = 0.5


def wait_until_healthy(settings: Settings, use_case: str, timeout_seconds: float = 120.0) -> dict[str, Any]:
    """Wait until the service answers; the supervisor may have begun to start it only now.

    Returns {"url", "seconds"}. Raises ServiceUnreachable.
    """
    url = find_service_url(settings, use_case)
    began = time.monotonic()
    with ServiceClient(url, timeout=5.0) as client:
        while True:
            try:
                client.metadata()
                return {"url": url, "seconds": round(time.monotonic() - began, 1)}
            except ServiceUnreachable:
                if time.monotonic() - began > timeout_seconds:
                    raise
                time.sleep(_POLL_SECONDS)


def wait_for_champion(settings: Settings, use_case: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
    """Wait until the service answers with the champion's version, by the declaration of now.

    Returns {"model_version", "seconds"}. Raises NoChampion, or ServingError with the service's own reason; a
    service that holds another declaration than the files is refused at once: it never takes up the new one by
    itself, and a canary drawn from the new one would blame the champion for it.
    """
    began = time.monotonic()
    declared, url = load_use_case(use_case, settings), find_service_url(settings, use_case)
    with ServiceClient(url, timeout=5.0) as client:
        while True:
            # Asked each time: another training run may promote its candidate while this one waits.
            wanted = require_champion(settings, use_case)
            found = build_service_status(client.metadata(), url, declared, wanted)
            if found.outdated:
                raise ServingError(
                    f"the service of {use_case} at {url} {found.describe()}"
                    + (f" (it says: {found.trouble})" if found.trouble else ""),
                    hint=f"run {found.remedy}, then this again; in containers: docker compose restart"
                    f" {format_container_name(use_case)}",
                )
            if not found.behind:
                return {"model_version": wanted.version, "seconds": round(time.monotonic() - began, 1)}
            if time.monotonic() - began > timeout_seconds:
                raise ServingError(
                    f"{use_case} is served by version {found.serves} and not by the champion, "
                    f"version {wanted.version}: {found.trouble or 'the service has not noticed it'}",
                    hint="see the service's log; `evergreen status` shows where it is",
                )
            time.sleep(_POLL_SECONDS)


def probe_service(settings: Settings, use_case: str, now: datetime | None = None) -> dict[str, Any]:
    """Send drawn and recently logged rows, marked as checks, and compare the answers with the champion's own.

    Rows that a champion promoted meanwhile answers are left out. Returns {"model_version", "rows" (judged
    ones), "errors", "mismatches", "examples"}; raises nothing for bad answers, `finalize_deployment` judges
    them.
    """
    declared = load_use_case(use_case, settings)
    wanted = require_champion(settings, use_case)
    rows = _collect_probe_rows(settings, declared, wanted.version, now or datetime.now(UTC))
    expected = _predict_offline(settings, declared, wanted.version, rows)
    judged = errors = mismatches = 0
    examples: list[str] = []
    with ServiceClient(find_service_url(settings, use_case), channel="canary") as client:
        for row, own in zip(rows, expected, strict=True):
            try:
                answer = client.predict(row)
            except EvergreenError as error:
                judged += 1
                errors += 1
                examples.append(error.message)
                continue
            if _is_overtaken(settings, use_case, wanted.version, answer["model_version"]):
                continue
            judged += 1
            difference = _describe_difference(answer, own, wanted.version)
            if difference:
                mismatches += 1
                examples.append(difference)
    return {
        "model_version": wanted.version,
        "rows": judged,
        "errors": errors,
        "mismatches": mismatches,
        "examples": [example[:300] for example in examples[:5]],
    }


def finalize_deployment(settings: Settings, use_case: str, canary: Mapping[str, Any]) -> dict[str, Any]:
    """Accept a clean canary; otherwise give the alias back to the former champion and say so in the ledger.

    Returns {"model_version", "rows"}; with "overtaken_by" after a bad canary of a version that is no longer
    champion while its predecessor is not either: then nothing is written. Raises ServingError after a
    rollback, or without a former champion to go back to.
    """
    from evergreen.registry.lock import lock_use_case
    from evergreen.registry.succession.rollback import withdraw_champion
    from evergreen.store.connection.database import get_engine

    version = int(canary["model_version"])
    if not canary["errors"] and not canary["mismatches"]:
        return {"model_version": version, "rows": canary["rows"]}
    reason = (
        f"of {canary['rows']} canary rows {canary['errors']} failed and {canary['mismatches']} differed: "
        f"{'; '.join(canary['examples'])}"
    )
    database = get_engine(settings)
    with lock_use_case(database, use_case):
        withdrawal = withdraw_champion(
            settings, database, load_use_case(use_case, settings), version, actor="deploy", reason=reason
        )
    if withdrawal.outcome == "overtaken":
        overtaken_by = withdrawal.champion_version
        return {"model_version": version, "rows": canary["rows"], "overtaken_by": overtaken_by}
    former = withdrawal.former_version
    if withdrawal.outcome == "restored":
        hint = f"version {former} is champion again; see the service's log"
    elif former is not None:
        hint = f"it stays champion, because version {former} cannot take over: {withdrawal.obstacle}"
    else:
        hint = "there is no former champion to go back to: see the service's log and train again"
    raise ServingError(f"{use_case} version {version} answers badly, {reason}", hint=hint)


def run_deploy(settings: Settings, use_case: str) -> dict[str, Any]:
    """All four steps in order. Returns their results by name."""
    results: dict[str, Any] = {"healthy": wait_until_healthy(settings, use_case)}
    results["serving_champion"] = wait_for_champion(settings, use_case)
    results["canary"] = probe_service(settings, use_case)
    results["finalize"] = finalize_deployment(settings, use_case, results["canary"])
    return results


def find_service_url(settings: Settings, use_case: str) -> str:
    """Where the service of that use case is. Raises ServiceUnreachable when nobody said."""
    url = settings.service_urls.get(use_case)
    if not url:
        raise ServiceUnreachable(
            f"the address of {use_case}'s prediction service is not known",
            hint=f'start the stack, or set EVERGREEN_SERVICE_URLS=\'{{"{use_case}": "http://host:port"}}\'',
        )
    return url


def _collect_probe_rows(
    settings: Settings, use_case: UseCase, seed: int, now: datetime
) -> list[dict[str, Any]]:
    from evergreen.serving.http.examples import draw_requests
    from evergreen.store.connection.database import get_engine
    from evergreen.store.predictions.prediction_log import read_recent_inputs
    from evergreen.validation.domain_words import is_refused

    logged = read_recent_inputs(get_engine(settings), use_case, until=now, limit=LOGGED_PROBE_ROWS)
    # The log also holds rows from when a rule was a guess, and rows of keys that lack a view: to refuse those
    # is no fault of the champion.
    accepted = [row for row in logged if not is_refused(use_case.stored_features, row)]
    return [*draw_requests(use_case, DRAWN_PROBE_ROWS, seed=seed), *accepted]


def _predict_offline(
    settings: Settings, use_case: UseCase, version: int, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the champion itself predicts for those rows, offline."""
    from evergreen.model.on_demand import build_columns_from_rows
    from evergreen.model.predict import predict_rows
    from evergreen.registry.models import load_model

    loaded = load_model(settings, use_case, version)
    outcome = predict_rows(use_case, loaded, build_columns_from_rows(use_case, rows))
    return [outcome.answer(number) for number in range(len(rows))]


def _describe_difference(answer: Mapping[str, Any], own: Mapping[str, Any], version: int) -> str:
    """In which way an answer is not the model's own; empty when it is."""
    if answer["model_version"] != version:
        return f"version {answer['model_version']} answered instead of {version}"
    served, right = answer["prediction"], own["prediction"]
    if isinstance(right, float):
        return (
            "" if abs(served - right) <= TOLERANCE * max(1.0, abs(right)) else f"{served} instead of {right}"
        )
    worst = max(abs(answer["probabilities"][name] - share) for name, share in own["probabilities"].items())
    if served != right or worst > TOLERANCE:
        return f"{served!r} instead of {right!r}, probabilities differ by up to {worst:.3g}"
    return ""


def _is_overtaken(settings: Settings, use_case: str, version: int, answering: int) -> bool:
    """Whether another version answers because it is champion by now."""
    if answering == version:
        return False
    present = read_champion(settings, use_case)
    return present is not None and present.version == answering
