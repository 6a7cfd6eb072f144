"""From seconds and scores to the figures that have a name and a target."""

from __future__ import annotations

import math
from statistics import median

from benchmarks.common.result import Field
from benchmarks.training.measure import Measured
from benchmarks.training.titanic import FOLDS, roc_auc


def fields(measured: Measured) -> list[Field]:
    """Every figure of the run; those without a target are told for comparison."""
    tuning, pipeline = measured.tuning, measured.pipeline
    cpu = {seed: tuning.reached(seed) for seed in tuning.searches}
    judged = [
        Field(
            "tuning_cpu_vs_grid",
            median(cpu.values()) / tuning.grid_cpu,
            f"CPU time of the search until a model is as good on the hold-out as the best of "
            f"{len(tuning.grid)} grid points / of the grid; median of {len(cpu)} seeds",
            0.2,
            at_most=True,
        ),
        Field(
            "pipeline_overhead",
            pipeline.overhead,
            f"a training run's wall time without its fits / with them, {pipeline.rows:,} rows",
            0.15,
            at_most=True,
        ),
        _titanic(measured),
        Field(
            "credit_accuracy_vs_best",
            pipeline.metrics["accuracy"] / measured.best_reachable,
            "hold-out accuracy of credit_score / the best that any model can reach there",
            0.97,
        ),
        Field(
            "calibration_error",
            pipeline.metrics["calibration_error"],
            "of the same answers: expected calibration error over 15 bins",
            0.02,
            at_most=True,
        ),
    ]
    return [*judged, *_tuning(measured, cpu), *_pipeline(measured), *_quality(measured)]


def _titanic(measured: Measured) -> Field:
    found = measured.titanic
    if found is None:
        return Field("titanic_auc", math.nan, measured.no_titanic, 0.87)
    repeats = len(found.fixed) // FOLDS
    return Field(
        "titanic_auc",
        roc_auc(found.fixed),
        f"mean ROC AUC of {repeats} x {FOLDS} stratified folds of {found.rows} passengers",
        0.87,
    )


def _tuning(measured: Measured, cpu: dict[int, float]) -> list[Field]:
    tuning = measured.tuning
    best = min(tuning.grid, key=lambda point: point.log_loss)
    whole = [trials[-1].cpu for trials in tuning.searches.values()]
    least = [
        min((t.log_loss for t in trials if not math.isnan(t.log_loss)), default=math.nan)
        for trials in tuning.searches.values()
    ]
    return [
        Field("grid_cpu_s", tuning.grid_cpu, "CPU seconds of the whole grid"),
        Field("search_cpu_s", median(cpu.values()), "of the search until it is as good", part="reached"),
        Field("search_cpu_s", median(whole), "of the whole search", part="whole"),
        Field("holdout_log_loss", best.log_loss, "the grid's best point on the hold-out", part="grid"),
        Field("holdout_log_loss", median(least), "the search's best trial", part="search"),
        Field("holdout_accuracy", max(p.accuracy for p in tuning.grid), "the grid's best", part="grid"),
        Field(
            "holdout_accuracy",
            median(
                max(t.accuracy for t in trials if not math.isnan(t.accuracy))
                for trials in tuning.searches.values()
            ),
            "the search's best",
            part="search",
        ),
    ]


def _pipeline(measured: Measured) -> list[Field]:
    pipeline = measured.pipeline
    told = [
        Field("train_s", pipeline.wall, "seconds from the process's start to its end", part="wall"),
        *(
            Field("train_s", seconds, f"of these, fits: {part}", part=f"fits_{part}")
            for part, seconds in pipeline.fits.items()
        ),
    ]
    parts = sorted(pipeline.parts.items(), key=lambda part: -part[1])
    meanings = {"fits": "by this stopwatch", "pruning": "Optuna's, inside the fits: counts as fitting"}
    return told + [
        Field("train_part_s", seconds, meanings.get(part, "seconds"), part=part.replace(" ", "_"))
        for part, seconds in parts
    ]


def _quality(measured: Measured) -> list[Field]:
    made = measured.pipeline.metrics
    told = [
        Field("credit_accuracy", made["accuracy"], "on the hold-out", part="ours"),
        Field("credit_accuracy", measured.best_reachable, "the simulator's own", part="best"),
        Field("credit_log_loss", made["log_loss"], "on the hold-out, nats"),
    ]
    if measured.titanic is not None and measured.titanic.nested:
        auc = roc_auc(measured.titanic.nested)
        told.append(Field("titanic_auc_nested", auc, "the same with the declared search inside each fold"))
    return told
