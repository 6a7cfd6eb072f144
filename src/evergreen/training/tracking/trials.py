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
    logged_numbers: Collection[int] = (),
    worker: int | None = None,
) -> set[int]:
    """Log every ended trial that has no nested run yet (of that worker's, where one is given); return the
    numbers of those that have one.

    A nested run has the trial's parameters, its loss on both parts by number of trees, and how it ended; the
    parent gets the loss of each trial and the least so far, by trial. Safe to call again. `logged_numbers`:
    what an earlier call returned; without it MLflow is asked. Callers hold the use case's "tracking" lock:
    a run that is not complete is taken for one that a killed call left. Raises RegistryUnreachable,
    RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        experiment = client.get_run(parent).info.experiment_id
        numbers = set(logged_numbers) or {
            int(child.data.tags[TRIAL]) for child in list_trial_runs(client, experiment, parent)
        }
        least = float("inf")
        for trial in sorted(trials, key=lambda t: t.number):
            if trial.state == "complete" and trial.loss is not None:
                least = min(least, trial.loss)
            if trial.number not in numbers and worker in (None, trial.worker):
                _log_trial(client, experiment, parent, trial, least)
                numbers.add(trial.number)
    return numbers


def _log_trial(client: Any, experiment: str, parent: str, trial: Trial, least: float) -> None:
    # MLflow takes seconds to load: `library_loading` does it in a thread while the search fits.
    from mlflow.entities import Metric, Param, RunTag

    start, end = int(trial.started * 1000), int((trial.started + trial.seconds) * 1000)
    tags = {PARENT: parent, "evergreen.trial_state": trial.state}
    child = client.create_run(experiment, start_time=start, run_name=f"trial {trial.number}", tags=tags)
    run = child.info.run_id
    metrics = _list_metrics(trial, end)
    for first in range(0, len(metrics), _MOST_IN_A_BATCH):
        params = [Param(name, str(value)) for name, value in trial.params.items()] if first == 0 else []
        client.log_batch(run, metrics=metrics[first : first + _MOST_IN_A_BATCH], params=params)
    if trial.loss is not None and trial.state == "complete":
        history = (("search_loss", trial.loss), ("search_least_loss", least))
        client.log_batch(parent, metrics=[Metric(name, loss, end, trial.number) for name, loss in history])
    client.set_terminated(run, _STATUS[trial.state], end_time=end)
    # The last call: a run without this tag is one that a killed call left, and is made anew.
    client.log_batch(run, tags=[RunTag(TRIAL, str(trial.number))])


def list_trial_runs(client: Any, experiment: str, parent: str) -> list[Any]:
    """The nested runs of a run, after deleting those that a killed call left incomplete."""
    complete = []
    for child in client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'", max_results=1_000):
        if TRIAL in child.data.tags:
            complete.append(child)
        else:
            client.delete_run(child.info.run_id)
    return complete


def _list_metrics(trial: Trial, at: int) -> list[Any]:
    """The trial's MLflow metrics, all with the timestamp `at` in milliseconds."""
    # As in `_log_trial`.
    from mlflow.entities import Metric

    metrics = [Metric("seconds", trial.seconds, at, 0), Metric("trees", trial.trees, at, 0)]
    if trial.loss is not None:
        metrics.append(Metric("loss", trial.loss, at, 0))
    for rows_name, losses in (("train", trial.curve.train), ("validation", trial.curve.validation)):
        metrics += [
            Metric(f"{rows_name}_loss", loss, at, trees)
            for trees, loss in zip(trial.curve.trees, losses, strict=True)
        ]
    return metrics
