"""A training's candidate as a version of the registered model, with all that is kept of it."""

from __future__ import annotations

import sqlalchemy as sa

from evergreen.model import reference_profile
from evergreen.model.error_profile.profile import parse_error_profile
from evergreen.model.error_profile.store import delete_error_profile, save_error_profile
from evergreen.model.judging.verdict import Verdict
from evergreen.registry import models
from evergreen.registry.succession.candidates import name_challenger
from evergreen.settings import Settings
from evergreen.store.records import model_record
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.card import render_model_card
from evergreen.training.record.card_facts import collect_card_facts
from evergreen.training.record.model_record import build_model_record
from evergreen.training.tracking import training_runs
from evergreen.usecase import UseCase


def register_version(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun, verdict: Verdict
) -> int:
    """Register the model of a judged training, and write its record, its model card, its reference profile
    and its error profile; its version. One that passed becomes the challenger.

    Each step replaces what an earlier attempt left. The caller holds the use case's lock. Raises
    RegistryUnreachable, RegistryError and StoreUnreachable.
    """
    name, mlflow_run = use_case.name, run.mlflow_run_id
    assert mlflow_run is not None
    tags = training_runs.read_run_tags(settings, mlflow_run)
    version = models.register_model_version(
        settings,
        name,
        mlflow_run,
        run.id,
        {**tags, **_build_verdict_tags(verdict)},
        description=f"As of {run.as_of:%Y-%m-%d %H:%M} UTC, because: {run.reason}. {verdict.summary}",
    )
    record = build_model_record(settings, use_case, run, version)
    model_record.save_model_record(database, record)
    card = render_model_card(collect_card_facts(use_case, run, tags, version).to_json())
    training_runs.write_page(settings, mlflow_run, training_runs.CARD_FILE, card)
    if verdict.passed:
        name_challenger(settings, name, version)
    profile = training_runs.read_document(settings, mlflow_run, training_runs.PROFILE_FILE)
    reference_profile.save_reference_profile(
        database, name, version, reference_profile.parse_profiles(profile["features"])
    )
    errors = training_runs.find_document(settings, mlflow_run, training_runs.ERRORS_FILE)
    if errors is None:  # an earlier version evaluated the model
        delete_error_profile(database, name, version)
    else:
        save_error_profile(database, name, version, parse_error_profile(errors))
    return version


def _build_verdict_tags(verdict: Verdict) -> dict[str, str]:
    checks_by_tag = {"evergreen.failed_checks": verdict.failed, "evergreen.warnings": verdict.warnings}
    return {
        "evergreen.verdict": verdict.summary[:4000],
        "evergreen.passed": str(verdict.passed).lower(),
        **{
            tag: ", ".join(check.name for check in checks)[:4000]
            for tag, checks in checks_by_tag.items()
            if checks
        },
    }
