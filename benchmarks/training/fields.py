"""From seconds and scores to the figures that have a name and a target."""

from __future__ import annotations

import math
from statistics import median

from benchmarks.common.result import Field
from benchmarks.training import demo
from benchmarks.training.measure import Measured
from benchmarks.training.pipeline import Pipeline
from benchmarks.training.titanic import FOLDS, roc_auc
from benchmarks.training.tuning import Tried, Tuning

_ABOUT_PARTS = {"fits": "seconds, by this stopwatch", "pruning": "seconds, inside the search's fits"}


def fields(measured: Measured) -> list[Field]:
    """Every figure of the run; those without a target are told for comparison."""
    tuning, pipelines = measured.tuning, measured.pipelines
    first = pipelines[0]
    reached = [tuning.reached(seed) for seed in tuning.searches]
    judged = [
        Field(
            "tuning_cpu_vs_grid",
            median(reached) / tuning.grid_cpu,
            f"CPU time of the search until a model is as good on the hold-out as the best of "
            f"{len(tuning.grid)} grid points / of the grid; median of {len(reached)} seeds",
            0.2,
            at_most=True,
        ),
        Field(
            "pipeline_overhead",
            median(each.overhead for each in pipelines),
            f"wall time of a training run without its fits / with them, {first.rows:,} rows; "
            f"median of {len(pipelines)} runs",
            0.15,
            at_most=True,
        ),
        _titanic(measured),
        Field(
            "credit_accuracy_vs_best",
            first.metrics["accuracy"] / measured.best_reachable,
            "hold-out accuracy of credit_score / the best that any model can reach there",
            0.97,
        ),
        Field(
            "calibration_error",
            first.metrics["calibration_error"],
            "of the same answers: expected calibration error over 15 bins",
            0.02,
            at_most=True,
        ),
        *demo.fields(measured.demo),
    ]
    return [*judged, *_tuning(tuning), *_pipeline(pipelines), *_quality(measured)]


def _titanic(measured: Measured) -> Field:
    found = measured.titanic
    if found is None:
        return Field("titanic_auc", math.nan, measured.no_titanic, 0.87)
    folds = f"{len(found.fixed) // FOLDS} x {FOLDS} stratified folds of {found.rows} passengers"
    return Field("titanic_auc", roc_auc(found.fixed), f"mean ROC AUC of {folds}", 0.87)


def _tuning(tuning: Tuning) -> list[Field]:
    searches = tuning.searches
    by_accuracy = median(tuning.reached_accuracy(seed) for seed in searches)
    return [
        Field(
            "tuning_cpu_vs_grid_by_accuracy",
            by_accuracy / tuning.grid_cpu,
            "the same until its hold-out accuracy is that of the grid's most accurate point",
        ),
        Field("grid_cpu_s", tuning.grid_cpu, "CPU seconds of the whole grid"),
        Field(
            "search_cpu_s",
            median(tuning.reached(seed) for seed in searches),
            "until it is as good",
            part="reached",
        ),
        Field(
            "search_cpu_s",
            median(trials[-1].cpu for trials in searches.values()),
            "of the whole search",
            part="whole",
        ),
        Field("holdout_log_loss", tuning.target, "the grid's best point, in nats", part="grid"),
        Field(
            "holdout_log_loss",
            median(min(t.log_loss for t in _complete(trials)) for trials in searches.values()),
            "the search's best trial",
            part="search",
        ),
        Field("holdout_accuracy", max(p.accuracy for p in tuning.grid), "the grid's best point", part="grid"),
        Field(
            "holdout_accuracy",
            median(max(t.accuracy for t in _complete(trials)) for trials in searches.values()),
            "the search's best trial",
            part="search",
        ),
    ]


def _complete(trials: list[Tried]) -> list[Tried]:
    return [trial for trial in trials if not math.isnan(trial.log_loss)]


def _pipeline(pipelines: list[Pipeline]) -> list[Field]:
    fits, parts = pipelines[0].fits, pipelines[0].parts
    spent = {part: median(each.parts.get(part, 0.0) for each in pipelines) for part in parts}
    return [
        Field("train_s", median(each.wall for each in pipelines), "seconds, start to end of it", part="wall"),
        *(
            Field(
                "train_s",
                median(each.fits[part] for each in pipelines),
                f"of these, fits of the {part} as the run has them on record",
                part=f"fits_{part}",
            )
            for part in fits
        ),
        *(
            Field("train_part_s", seconds, _ABOUT_PARTS.get(part, "seconds"), part=part.replace(" ", "_"))
            for part, seconds in sorted(spent.items(), key=lambda each: -each[1])
        ),
    ]


def _quality(measured: Measured) -> list[Field]:
    made = measured.pipelines[0].metrics
    told = [
        Field("credit_accuracy", made["accuracy"], "on the hold-out", part="ours"),
        Field("credit_accuracy", measured.best_reachable, "the simulator's own", part="best"),
        Field("credit_log_loss", made["log_loss"], "on the hold-out, in nats"),
    ]
    if measured.titanic is not None and measured.titanic.nested:
        nested = roc_auc(measured.titanic.nested)
        told.append(
            Field("titanic_auc_nested", nested, "titanic_auc with the declared search in each training fold")
        )
    return told
