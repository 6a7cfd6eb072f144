"""What the DAG files share: assets, the trigger form, schedules and the moment of a run.

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
from evergreen.moments import parse_moment
from evergreen.settings import load_settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_valid_use_cases

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "evergreen",
    # Every task may run twice for the same moment with the same result, so a retry is always safe.
    "retries": 1,
    "retry_delay": timedelta(seconds=10),
}


# Errors that the same input raises again: tasks fail at once with their message, without a retry.
NOT_MENDED_BY_A_RETRY = (
    EmptyTrainingSet,
    NotEnoughData,
    SchemaMismatch,
    UntrustedFolder,
    UseCaseError,
    ValidationFailed,
)


def use_cases() -> Iterable[UseCase]:
    """Every valid use case. `declarations.py` reports broken ones, which do not affect the DAGs of the
    others."""
    return load_valid_use_cases(load_settings())[0].values()


def features_asset(use_case: UseCase) -> Asset:
    """Published when new rows are in the feature store."""
    return Asset(f"{use_case.name}__features", uri=f"evergreen://{use_case.name}/features")


def retrain_asset(use_case: UseCase) -> Asset:
    """Published when the monitor decides to retrain."""
    return Asset(f"{use_case.name}__retrain", uri=f"evergreen://{use_case.name}/retrain")


def champion_asset(use_case: UseCase) -> Asset:
    """Published when a version becomes champion, or is to be tried beside the champion."""
    return Asset(f"{use_case.name}__champion", uri=f"evergreen://{use_case.name}/champion")


def cron(expression: str | None) -> CronTriggerTimetable | None:
    """A cron schedule (UTC) that waits for its next tick, because starting the platform must not start a
    run."""
    if expression is None:
        return None
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))


def on_assets_or_schedule(events: Any, expression: str | None) -> Any:
    """A schedule of asset events, and of the ticks of a cron expression where there is one."""
    ticks = cron(expression)
    return AssetOrTimeSchedule(timetable=ticks, assets=events) if ticks is not None else events


def as_of_param() -> Param:
    """The field "As of" of every trigger form."""
    return Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="As of",
        description="Work with what was known at this moment. Empty: the moment of this run.",
    )


def options(use_case: UseCase, verb: str, doc: str, **params: Param) -> dict[str, Any]:
    """The keyword arguments of `@dag` that are common to every DAG of a use case."""
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
    """Call the function `step` of the module `evergreen.loop.<verb>` with the settings of this process.

    The module is imported when a task runs, so that parsing a DAG file loads neither pandas nor MLflow.
    """
    function = getattr(import_module(f"evergreen.loop.{verb}"), step)
    try:
        return function(load_settings(), *args, **kwargs)
    except NOT_MENDED_BY_A_RETRY as error:
        raise AirflowFailException(str(error)) from error


def begin(use_case: UseCase, context: Any, *, of_decision: bool = False) -> datetime:
    """The moment as of which a run works; with `of_decision` that of the decision which started it, where one
    did. Skips a scheduled run while a demo of its use case is under way."""
    if is_scheduled(context) and invoke("demo_lock", "is_demo_running", use_case.name):
        raise AirflowSkipException(f"a demo of {use_case.name} is under way: this scheduled run is left out")
    return (of_decision and decision_moment(context)) or moment(context)


def is_scheduled(context: Any) -> bool:
    """Whether a tick of the schedule started the run, and neither a person nor an asset."""
    run_type = context["dag_run"].run_type
    # An enumeration in a task, whose text is "DagRunType.SCHEDULED".
    return getattr(run_type, "value", run_type) == "scheduled"


def moment(context: Any) -> datetime:
    """The moment as of which a run works: that of the form, else of the triggering asset events, else its
    own."""
    if context["params"].get("as_of"):
        return parse_moment(context["params"]["as_of"])
    event_moments = [parse_moment(extra["as_of"]) for extra in _extras(context) if "as_of" in extra]
    if event_moments:
        return max(event_moments)
    run = context["dag_run"]
    own_moment: datetime = run.logical_date or run.run_after
    return own_moment.astimezone(UTC)


def decision_moment(context: Any) -> datetime | None:
    """The moment of the newest decision to retrain among the triggering asset events; None where there is
    none, or the form names a moment. New data that started the same run are trained on as far as they were
    known then."""
    decided = [parse_moment(extra["as_of"]) for extra in _extras(context) if "decision" in extra]
    return max(decided, default=None) if not context["params"].get("as_of") else None


def training_cause(context: Any) -> str:
    """What starts a training that the governor did not ask for: "new data", "schedule" or "manual". The one
    that it asked for has its decision on record, by the moment."""
    if _extras(context):
        return "new data"
    return "schedule" if is_scheduled(context) else "manual"


def _extras(context: Any) -> list[dict[str, Any]]:
    events = (context.get("triggering_asset_events") or {}).values()
    return [event.extra or {} for group in events for event in group]
