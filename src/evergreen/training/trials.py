"""The trials of a search as nested MLflow runs, below the training's own run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evergreen.registry.connection import answering, mlflow_client
from evergreen.settings import Settings
from evergreen.training.tuned import Trial

TRIAL = "evergreen.trial"
PARENT = "mlflow.parentRunId"
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_MOST_IN_A_BATCH = 1_000


def show(settings: Settings, parent: str, trials: Sequence[Trial]) -> None:
    """Make a nested run of every ended trial that has none yet.

    Its parameters, the loss on both parts by number of trees, and how it ended; the parent gets the loss of
    each trial and the least so far, by trial. Safe to call again. Raises RegistryUnreachable, RegistryError.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client(settings)
    with answering(settings):
        run = client.get_run(parent)
        shown = {child.data.tags.get(TRIAL) for child in nested(client, run.info.experiment_id, parent)}
        least = float("inf")
        for trial in sorted(trials, key=lambda t: t.number):
            if trial.state == "complete" and trial.loss is not None:
                least = min(least, trial.loss)
            if str(trial.number) in shown:
                continue
            began, ended = int(trial.started * 1000), int((trial.started + trial.seconds) * 1000)
            child = client.create_run(
                run.info.experiment_id,
                start_time=began,
                run_name=f"trial {trial.number}",
                tags={PARENT: parent, "evergreen.trial_state": trial.state},
            )
            params = [Param(name, str(value)) for name, value in trial.params.items()]
            metrics = _metrics(trial, ended)
            for start in range(0, len(metrics), _MOST_IN_A_BATCH):
                batch = metrics[start : start + _MOST_IN_A_BATCH]
                client.log_batch(child.info.run_id, metrics=batch, params=params if start == 0 else [])
            if trial.loss is not None and trial.state == "complete":
                history = [Metric("search_loss", trial.loss, ended, trial.number)]
                history.append(Metric("search_least_loss", least, ended, trial.number))
                client.log_batch(parent, metrics=history)
            # Last: a run without this tag is one that a killed call left, and is made anew.
            client.log_batch(child.info.run_id, tags=[RunTag(TRIAL, str(trial.number))])
            client.set_terminated(child.info.run_id, _STATUS[trial.state], end_time=ended)


def nested(client: Any, experiment: str, parent: str) -> list[Any]:
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
    trees = trial.curve.get("trees", [])
    for part in ("train", "validation"):
        losses = trial.curve.get(part, [])
        metrics += [
            Metric(f"{part}_loss", loss, at, int(tree)) for tree, loss in zip(trees, losses, strict=True)
        ]
    return metrics
