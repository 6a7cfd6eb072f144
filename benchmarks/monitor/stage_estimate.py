"""Estimated against true accuracy, over windows of covariate shift that a model has not seen."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from benchmarks.common.timing import say
from benchmarks.monitor import estimate_rivals, shifted_windows
from benchmarks.monitor.shifted_windows import USE_CASE, Scored
from benchmarks.monitor.stage import Options

from evergreen.model.error_profile.build import build_error_profile
from evergreen.model.error_profile.partition import assign_regions
from evergreen.model.error_profile.profile import CONFIDENCE, PREDICTED, ClassErrorProfile
from evergreen.monitoring.quality.estimate import estimate_quality
from evergreen.monitoring.quality.score_cells import count_cells

SEEDS = (1, 2, 3)
_RIVALS = {
    "estimate_error_confidence": estimate_rivals.estimate_by_confidence,
    "estimate_error_isotonic": estimate_rivals.estimate_by_isotonic_calibration,
    "estimate_error_domain_classifier": estimate_rivals.estimate_by_domain_classifier,
}


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


def measure(options: Options) -> dict[str, float]:
    """The errors of the estimates over all windows of three models, and of other ways on the same windows."""
    seeds = SEEDS[:1] if options.quick else SEEDS
    errors: defaultdict[str, list[float]] = defaultdict(list)
    covered: list[bool] = []
    spans, ratios = [], []
    for seed in seeds:
        say(f"    seed {seed}: {shifted_windows.WINDOWS} windows")
        simulation = simulate(seed)
        holdout = simulation.holdout
        estimates = np.array(estimate_accuracies(simulation))
        truth = np.array([window.accuracy for window in simulation.windows])
        own, assumed = np.abs(estimates[:, 0] - truth), np.abs(holdout.accuracy - truth)
        errors["estimate_error"] += own.tolist()
        errors["estimate_error_holdout"] += assumed.tolist()
        covered += ((estimates[:, 1] <= truth) & (truth <= estimates[:, 2])).tolist()
        spans.append(float(truth.max() - truth.min()))
        ratios.append(float(own.mean() / assumed.mean()))
        for name, estimate in _RIVALS.items():
            errors[name] += [
                abs(estimate(holdout, window) - window.accuracy) for window in simulation.windows
            ]
    means = {name: fmean(values) for name, values in errors.items()}
    return {
        **means,
        "estimate_error_vs_holdout": means["estimate_error"] / means["estimate_error_holdout"],
        "estimate_error_vs_holdout_worst": max(ratios),
        "estimate_coverage": fmean(covered),
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
