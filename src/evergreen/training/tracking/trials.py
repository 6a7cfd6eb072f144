"""The trials of a search as nested MLflow runs, below the training's own run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from evergreen.registry.connection import create_mlflow_client, translate_mlflow_errors
from evergreen.settings import Settings
from evergreen.training.search.trial import Trial

TRIAL = "evergreen.trial"
PARENT = "mlflow.parentRunId"
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_MOST_IN_A_BATCH = 1_000


def log_trials(
    settings: Settings,
    parent: str,
    trials: Sequence[Trial],
    known: Collection[int] = (),
    worker: int | None = None,
) -> set[int]:
    """Make a nested run of every ended trial that has none yet (of that worker's, where one is given);
    returns the numbers of those that have one.

    Its parameters, the loss on both parts by number of trees, and how it ended; the parent gets the loss of
    each trial and the least so far, by trial. Safe to call again; MLflow is asked what it has unless `known`
    says what was returned before. Callers hold the use case's training lock: a half-made run is taken for one
    that a killed call left. Raises RegistryUnreachable, RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        experiment = client.get_run(parent).info.experiment_id
        shown = set(known) or {
            int(child.data.tags[TRIAL]) for child in list_trial_runs(client, experiment, parent)
        }
        least = float("inf")
        for trial in sorted(trials, key=lambda t: t.number):
            if trial.state == "complete" and trial.loss is not None:
                least = min(least, trial.loss)
            if trial.number not in shown and worker in (None, trial.worker):
                _log_trial(client, experiment, parent, trial, least)
                shown.add(trial.number)
    return shown


def _log_trial(client: Any, experiment: str, parent: str, trial: Trial, least: float) -> None:
    from mlflow.entities import Metric, Param, RunTag

    began, ended = int(trial.started * 1000), int((trial.started + trial.seconds) * 1000)
    tags = {PARENT: parent, "evergreen.trial_state": trial.state}
    child = client.create_run(experiment, start_time=began, run_name=f"trial {trial.number}", tags=tags)
    run = child.info.run_id
    metrics = _metrics(trial, ended)
    for start in range(0, len(metrics), _MOST_IN_A_BATCH):
        params = [Param(name, str(value)) for name, value in trial.params.items()] if start == 0 else []
        client.log_batch(run, metrics=metrics[start : start + _MOST_IN_A_BATCH], params=params)
    if trial.loss is not None and trial.state == "complete":
        history = (("search_loss", trial.loss), ("search_least_loss", least))
        client.log_batch(parent, metrics=[Metric(name, loss, ended, trial.number) for name, loss in history])
    client.set_terminated(run, _STATUS[trial.state], end_time=ended)
    # Last: a run without this tag is one that a killed call left, and is made anew.
    client.log_batch(run, tags=[RunTag(TRIAL, str(trial.number))])


def list_trial_runs(client: Any, experiment: str, parent: str) -> list[Any]:
    """The runs below a run; those that a killed call left half-made are deleted first."""
    found = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'", max_results=1_000)
    whole = []
    for child in found:
        if TRIAL in child.data.tags:
            whole.append(child)
        else:
            client.delete_run(child.info.run_id)
    return whole


def _metrics(trial: Trial, at: int) -> list[Any]:
    from mlflow.entities import Metric

    metrics = [Metric("seconds", trial.seconds, at, 0), Metric("trees", trial.trees, at, 0)]
    if trial.loss is not None:
        metrics.append(Metric("loss", trial.loss, at, 0))
    for part, losses in (("train", trial.curve.train), ("validation", trial.curve.validation)):
        metrics += [
            Metric(f"{part}_loss", loss, at, trees)
            for trees, loss in zip(trial.curve.trees, losses, strict=True)
        ]
    return metrics
