"""The end of a use case's succession: its models are deleted or archived, the ledger keeps their lines."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from evergreen.registry import ledger
from evergreen.registry.champion_history import read_champion_changes
from evergreen.registry.connection import create_mlflow_client, translate_mlflow_errors
from evergreen.registry.experiments.check_runs import name_monitoring_experiment
from evergreen.registry.reconcile import reconcile_ledger_under_lock
from evergreen.registry.versions import PROMOTED_AT
from evergreen.settings import Settings

# Tag of a registered model whose use case was dropped: when, ISO 8601.
ARCHIVED_AT = "evergreen.archived_at"


def erase_succession(
    settings: Settings, database: sa.Engine, use_case_name: str, *, actor: str, reason: str
) -> None:
    """Delete every version and MLflow run of a use case; nobody is champion afterwards.

    If the ledger has lines of the use case since its last `erase`, another `erase` line says so first.
    Version numbers begin anew. Raises RegistryUnreachable, RegistryError, StoreUnreachable.
    """
    _end_succession(settings, database, use_case_name, actor=actor, reason=reason)
    delete_model_and_runs(settings, use_case_name)


def archive_succession(
    settings: Settings, database: sa.Engine, use_case_name: str, *, actor: str, reason: str
) -> None:
    """Keep every version and MLflow run of a use case, without aliases: nobody is champion afterwards.

    The ledger gets the same line as of `erase_succession`; version numbers go on. The registered model
    carries the tag `evergreen.archived_at` with the moment (ISO 8601, UTC). Raises RegistryUnreachable,
    RegistryError, StoreUnreachable.
    """
    _end_succession(settings, database, use_case_name, actor=actor, reason=reason)
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        if not client.search_registered_models(f"name = '{use_case_name}'"):
            return
        for alias in client.get_registered_model(use_case_name).aliases:
            client.delete_registered_model_alias(use_case_name, alias)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        client.set_registered_model_tag(use_case_name, ARCHIVED_AT, moment)
        # By that tag the ledger is compared with MLflow: a version without it that becomes champion later was
        # set by hand.
        for version in client.search_model_versions(f"name = '{use_case_name}'"):
            if PROMOTED_AT in version.tags:
                client.delete_model_version_tag(use_case_name, version.version, PROMOTED_AT)


def _end_succession(
    settings: Settings, database: sa.Engine, use_case_name: str, *, actor: str, reason: str
) -> None:
    reconcile_ledger_under_lock(settings, database, use_case_name)
    changes = read_champion_changes(database, use_case_name)
    if ledger.read_entries_since_erase(database, use_case_name):
        ledger.append_entry(
            database,
            use_case_name=use_case_name,
            action="erase",
            from_version=changes[-1].to_version if changes else None,
            to_version=None,
            training_run_id=None,
            actor=actor,
            reason=reason,
        )


def delete_model_and_runs(settings: Settings, use_case_name: str) -> None:
    """Delete the registered model, with its versions and aliases, and the runs of its experiments, if any.

    Raises RegistryUnreachable, RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        if client.search_registered_models(f"name = '{use_case_name}'"):
            client.delete_registered_model(use_case_name)
        for name in (use_case_name, name_monitoring_experiment(use_case_name)):
            experiment = client.get_experiment_by_name(name)
            while experiment is not None:
                # A search by tag does not return deleted runs, so a new training run does not continue one.
                runs = client.search_runs([experiment.experiment_id], max_results=100)
                for run in runs:
                    client.delete_run(run.info.run_id)
                if not runs:
                    break
