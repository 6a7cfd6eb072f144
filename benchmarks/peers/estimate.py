"""Accuracy without labels on the same windows of covariate shift, estimated by Evergreen and by NannyML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from benchmarks.common.result import Field
from benchmarks.common.timing import say
from benchmarks.monitor.shifted_windows import WINDOW_ROWS, WINDOWS, Scored
from benchmarks.monitor.stage_estimate import SEEDS, estimate_accuracies, simulate
from benchmarks.peers import environment


@dataclass(frozen=True)
class EstimateCompared:
    """Mean absolute errors over all windows of each seed: ours, NannyML's, and of the hold-out's accuracy."""

    windows: int
    ours: list[float]
    nannyml: list[float]
    holdout: list[float]


def compare_estimates(folder: Path, python: Path, windows: int = WINDOWS) -> EstimateCompared:
    """Both on the same hold-outs and windows, of a model for each seed."""
    compared = EstimateCompared(windows, [], [], [])
    for seed in SEEDS:
        say(f"  seed {seed}: {windows} windows")
        simulation = simulate(seed, windows=windows)
        files = folder / f"nannyml-{seed}"
        files.mkdir()
        _write_rows([simulation.holdout], files / "reference.parquet", with_truth=True)
        _write_rows(simulation.windows, files / "windows.parquet", with_truth=False)
        truth = np.array([window.accuracy for window in simulation.windows])
        with environment.running("nannyml", python, files) as nannyml:
            theirs = np.array(nannyml.ask("estimate", window_rows=WINDOW_ROWS)["accuracy"])
        ours = np.array(estimate_accuracies(simulation))[:, 0]
        compared.ours.append(float(np.abs(ours - truth).mean()))
        compared.nannyml.append(float(np.abs(theirs - truth).mean()))
        compared.holdout.append(float(np.abs(simulation.holdout.accuracy - truth).mean()))
    return compared


def build_fields(compared: EstimateCompared) -> list[Field]:
    what = f"{compared.windows} windows of {WINDOW_ROWS:,} rows, {len(compared.ours)} models"
    ours, theirs = fmean(compared.ours), fmean(compared.nannyml)
    return [
        Field("estimate_vs_nannyml", theirs / ours, f"NannyML's error (CBPE) / ours: {what}", 1.0),
        Field("estimate_error", ours, "mean absolute error of the estimated accuracy", part="evergreen"),
        Field("estimate_error", theirs, "the same", part="nannyml"),
        Field("estimate_error", fmean(compared.holdout), "of the hold-out's accuracy", part="holdout"),
    ]


def _write_rows(parts: list[Scored], path: Path, *, with_truth: bool) -> None:
    frames = []
    for part in parts:
        probabilities = part.answers.probabilities
        assert probabilities is not None
        frame = pd.DataFrame(dict(part.rows.columns))
        frame["score"] = probabilities[:, 1]
        frame["predicted"] = (part.answers.predictions == "yes").astype(int)
        if with_truth:
            frame["truth"] = (part.rows.label == "yes").astype(int)
        frames.append(frame)
    pd.concat(frames, ignore_index=True).to_parquet(path)
