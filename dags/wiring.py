"""What the five DAG files share: assets, the trigger form, schedules and the run's moment.

Airflow puts this folder on the import path. Nothing here loads pandas, CatBoost, MLflow or BentoML.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param

from evergreen.errors import EvergreenError
from evergreen.settings import load_settings
from evergreen.usecase import UseCase
from evergreen.usecases import folders, load

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "evergreen",
    # Every task may run twice for the same moment with the same result, so a retry is always safe.
    "retries": 1,
    "retry_delay": timedelta(seconds=10),
}


def use_cases() -> Iterator[UseCase]:
    """Every sound use case. Broken ones are reported by `declarations.py`, so that they stop nobody else."""
    settings = load_settings()
    for name in folders(settings):
        try:
            yield load(name, settings)
        except EvergreenError:
            continue


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
    return function(load_settings(), *args, **kwargs)


def moment(context: Any) -> datetime:
    """The moment a run works as of: the form's, else the triggering asset event's, else the run's own."""
    if context["params"].get("as_of"):
        return datetime.fromisoformat(context["params"]["as_of"]).astimezone(UTC)
    carried = [
        event.extra["as_of"]
        for events in (context.get("triggering_asset_events") or {}).values()
        for event in events
        if "as_of" in (event.extra or {})
    ]
    if carried:
        return datetime.fromisoformat(max(carried))
    run = context["dag_run"]
    chosen: datetime = run.logical_date or run.run_after
    return chosen.astimezone(UTC)
