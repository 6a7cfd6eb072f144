"""What the DAG files share: assets, the trigger form, schedules and the run's moment.

Airflow puts this folder on the import path. Nothing here loads pandas, CatBoost, MLflow or BentoML.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from evergreen.errors import (
    EmptyTrainingSet,
    NotEnoughData,
    SchemaMismatch,
    UntrustedFolder,
    UseCaseError,
    ValidationFailed,
)
from evergreen.moments import parse_moment as parsed
from evergreen.settings import load_settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_valid_use_cases

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "evergreen",
    # Every task may run twice for the same moment with the same result, so a retry is always safe.
    "retries": 1,
    "retry_delay": timedelta(seconds=10),
}


# The same input fails the same way: these go red at once, with their message, instead of after a retry.
NOT_MENDED_BY_A_RETRY = (
    EmptyTrainingSet,
    NotEnoughData,
    SchemaMismatch,
    UntrustedFolder,
    UseCaseError,
    ValidationFailed,
)


def use_cases() -> Iterable[UseCase]:
    """Every sound use case. Broken ones are reported by `declarations.py`, so that they stop nobody else."""
    return load_valid_use_cases(load_settings())[0].values()


def features_asset(use_case: UseCase) -> Asset:
    return Asset(f"{use_case.name}__features", uri=f"evergreen://{use_case.name}/features")


def retrain_asset(use_case: UseCase) -> Asset:
    return Asset(f"{use_case.name}__retrain", uri=f"evergreen://{use_case.name}/retrain")


def champion_asset(use_case: UseCase) -> Asset:
    return Asset(f"{use_case.name}__champion", uri=f"evergreen://{use_case.name}/champion")


def cron(expression: str | None) -> CronTriggerTimetable | None:
    """A cron schedule that waits for its next tick: bringing the platform up must not itself start a run."""
    if expression is None:
        return None
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))


def on_assets_or_schedule(events: Any, expression: str | None) -> Any:
    """When these assets are published, and at the ticks of a cron expression where there is one."""
    ticks = cron(expression)
    return AssetOrTimeSchedule(timetable=ticks, assets=events) if ticks is not None else events


def as_of_param() -> Param:
    return Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="As of",
        description="Work with what was known at this moment. Empty: the moment of this run.",
    )


def options(use_case: UseCase, verb: str, doc: str, **params: Param) -> dict[str, Any]:
    """What every DAG of a use case has in common, as keyword arguments of `@dag`."""
    return {
        "dag_id": use_case.dag_id(verb),
        "dag_display_name": f"{use_case.name}: {verb}",
        "description": doc.partition("\n")[0],
        "doc_md": f"## {use_case.title}: {verb}\n\n{doc}\n\n{use_case.meaning}",
        "default_args": DEFAULT_ARGS,
        "params": {"as_of": as_of_param(), **params},
        "tags": ["evergreen", use_case.name, verb],
        "catchup": False,
        "max_active_runs": 1,
    }


def invoke(verb: str, step: str, *args: Any, **kwargs: Any) -> Any:
    """Run `evergreen.loop.<verb>.<step>` with this process's settings.

    Imported here, when a task runs, and not above: parsing a DAG file must stay light.
    """
    function = getattr(import_module(f"evergreen.loop.{verb}"), step)
    try:
        return function(load_settings(), *args, **kwargs)
    except NOT_MENDED_BY_A_RETRY as error:
        raise AirflowFailException(str(error)) from error


def begin(use_case: UseCase, context: Any) -> datetime:
    """The moment a run works as of. A scheduled run is skipped while a demo of its use case is under way."""
    if is_scheduled(context) and invoke("demo_lock", "is_demo_running", use_case.name):
        raise AirflowSkipException(f"a demo of {use_case.name} is under way: this scheduled run is left out")
    return moment(context)


def is_scheduled(context: Any) -> bool:
    """Whether a tick of the schedule started the run, and neither a person nor an asset."""
    return str(getattr(context["dag_run"], "run_type", "")).endswith("scheduled")


def moment(context: Any) -> datetime:
    """The moment a run works as of: the form's, else the triggering asset event's, else the run's own."""
    if context["params"].get("as_of"):
        return parsed(context["params"]["as_of"])
    carried = [parsed(extra["as_of"]) for extra in _extras(context) if "as_of" in extra]
    if carried:
        return max(carried)
    run = context["dag_run"]
    chosen: datetime = run.logical_date or run.run_after
    return chosen.astimezone(UTC)


def cause(context: Any) -> str:
    """Why a training starts: what the triggering asset events say, else the schedule or the form."""
    told = {str(extra.get("cause", "new data")) for extra in _extras(context)}
    if not told and is_scheduled(context):
        return "schedule"
    return " and ".join(sorted(told)) or str(context["params"]["reason"])


def _extras(context: Any) -> list[dict[str, Any]]:
    events = (context.get("triggering_asset_events") or {}).values()
    return [event.extra or {} for group in events for event in group]
