"""One MLflow run per monitoring check, in an experiment of its own: its figures as metrics, so that MLflow
charts them over the checks, and its report as files."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evergreen.documents import JsonObject
from evergreen.registry.connection import create_mlflow_client, translate_mlflow_errors
from evergreen.registry.experiments.experiment import ensure_experiment
from evergreen.settings import Settings

CHECK = "evergreen.check"
PAGE_FILE = "report.html"
DOCUMENT_FILE = "report.json"

_TAG_LENGTH = 5_000
# How many metrics MLflow takes in one call.
_BATCH = 1_000
# What MLflow allows in the name of a metric.
_NOT_ALLOWED = re.compile(r"[^\w\-. /:]")


@dataclass(frozen=True)
class CheckRun:
    """What an MLflow run keeps of a check: `metrics` and `tags` by name, the page and the document.

    `as_of` (aware) is the run's time in MLflow, `note` the description beside it, in Markdown.
    """

    use_case: str
    check_id: str
    as_of: datetime
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    note: str
    page: str
    document: JsonObject


def name_monitoring_experiment(use_case_name: str) -> str:
    """The name of the experiment that holds the checks of a use case."""
    return f"{use_case_name} monitoring"


def log_check_run(settings: Settings, check: CheckRun) -> tuple[str, str]:
    """Log a check to its MLflow run, which is created unless it is there; the ids of experiment and run.

    A second call replaces the files, and sets tags and metrics anew. Raises RegistryUnreachable,
    RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        experiment = ensure_experiment(settings, client, name_monitoring_experiment(check.use_case))
        moment = round(check.as_of.timestamp() * 1000)
        runs = client.search_runs([experiment], f"tags.`{CHECK}` = '{check.check_id}'", max_results=1)
        if runs:
            run_id = str(runs[0].info.run_id)
        else:
            name = f"{check.as_of:%Y-%m-%d %H:%M}"
            run = client.create_run(
                experiment, start_time=moment, run_name=name, tags={CHECK: check.check_id}
            )
            run_id = str(run.info.run_id)
        _log_values(client, run_id, moment, check)
        with tempfile.TemporaryDirectory(prefix="evergreen-check-") as folder:
            (Path(folder) / PAGE_FILE).write_text(check.page, encoding="utf-8")
            (Path(folder) / DOCUMENT_FILE).write_text(json.dumps(check.document, indent=1), encoding="utf-8")
            client.log_artifacts(run_id, folder)
        client.set_terminated(run_id, end_time=moment)
    return experiment, run_id


def _log_values(client: Any, run_id: str, moment: int, check: CheckRun) -> None:
    from mlflow.entities import Metric, RunTag  # as in `experiment`: MLflow takes seconds to load

    metrics = [
        Metric(_NOT_ALLOWED.sub("_", name)[:250], value, moment, 0) for name, value in check.metrics.items()
    ]
    values = {**check.tags, "mlflow.note.content": check.note}
    tags = [RunTag(name, value[:_TAG_LENGTH]) for name, value in values.items()]
    client.log_batch(run_id, tags=tags[:100])
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
