"""Estimated against true accuracy, over windows of covariate shift that a model has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.common.timing import say
from benchmarks.monitor import shifted_windows
from benchmarks.monitor.shifted_windows import USE_CASE, Scored

from evergreen.model.error_profile.build import build_error_profile
from evergreen.model.error_profile.partition import assign_regions
from evergreen.model.error_profile.profile import CONFIDENCE, PREDICTED, ClassErrorProfile
from evergreen.monitoring.quality.estimate import estimate_quality
from evergreen.monitoring.quality.score_cells import count_cells

_SEEDS = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class Simulation:
    """A hold-out and windows, all with the answers of one model."""

    holdout: Scored
    windows: list[Scored]


def simulate(
    seed: int,
    *,
    windows: int = shifted_windows.WINDOWS,
    training_rows: int = shifted_windows.TRAINING_ROWS,
    holdout_rows: int = shifted_windows.HOLDOUT_ROWS,
) -> Simulation:
    """A model of its own for each seed, its hold-out, and windows of covariate shift."""
    rng = np.random.default_rng(seed)
    model = shifted_windows.fit_calibrated_model(shifted_windows.draw_rows(rng, training_rows), seed)
    holdout = shifted_windows.score_rows(model, shifted_windows.draw_rows(rng, holdout_rows))
    scored = [
        shifted_windows.score_rows(model, rows) for rows in shifted_windows.draw_windows(seed + 100, windows)
    ]
    return Simulation(holdout, scored)


def measure(options: Any) -> dict[str, float]:
    """The figures of this stage: errors of the estimates over all windows of three seeds, and of one each."""
    seeds = _SEEDS[:1] if getattr(options, "quick", False) else _SEEDS
    errors, assumed, covered, accuracies, of_seed = [], [], [], [], []
    for seed in seeds:
        say(f"  estimated accuracy, seed {seed}: {shifted_windows.WINDOWS} windows")
        simulation = simulate(seed)
        estimates = np.array(estimate_accuracies(simulation))
        truth = np.array([window.accuracy for window in simulation.windows])
        errors.append(np.abs(estimates[:, 0] - truth))
        assumed.append(np.abs(simulation.holdout.accuracy - truth))
        covered.append((estimates[:, 1] <= truth) & (truth <= estimates[:, 2]))
        accuracies.append(truth)
        of_seed.append(float(errors[-1].mean() / assumed[-1].mean()))
    spans = [float(truth.max() - truth.min()) for truth in accuracies]
    return {
        "estimate_error": float(np.concatenate(errors).mean()),
        "estimate_error_vs_holdout": float(np.concatenate(errors).mean() / np.concatenate(assumed).mean()),
        "estimate_error_vs_holdout_worst": max(of_seed),
        "estimate_coverage": float(np.concatenate(covered).mean()),
        "estimate_accuracy_span": min(spans),
    }


def estimate_accuracies(simulation: Simulation) -> list[tuple[float, float, float]]:
    """The estimate of each window with the ends of its band. No label of a window is looked at."""
    holdout = simulation.holdout
    profile = build_error_profile(USE_CASE, holdout.rows.columns, holdout.rows.label, holdout.answers)
    assert isinstance(profile, ClassErrorProfile)
    estimates = []
    for window in simulation.windows:
        confidence = window.answers.probability
        assert confidence is not None
        columns = {
            **window.rows.columns,
            PREDICTED: window.answers.predictions,
            CONFIDENCE: confidence,
        }
        regions = assign_regions(profile.partition, columns, len(confidence))
        cells = count_cells(confidence, window.answers.predictions == "yes", regions)
        (estimate,) = estimate_quality(("accuracy",), profile, cells)
        estimates.append((estimate.value, estimate.low, estimate.high))
    return estimates
