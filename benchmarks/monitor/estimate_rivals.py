"""Other ways to estimate accuracy without labels, on the same rows: why ours is what it is."""

from __future__ import annotations

import numpy as np
from benchmarks.monitor.shifted_windows import CATEGORIES, NUMBERS, Scored
from catboost import CatBoostClassifier
from sklearn.isotonic import IsotonicRegression

# A weight beyond so many times the mean says more of the classifier than of the rows.
_GREATEST_WEIGHT = 20.0


def estimate_by_confidence(holdout: Scored, window: Scored) -> float:
    """The mean probability of the predicted classes, as the model has calibrated it."""
    return float(_get_confidence(window).mean())


def estimate_by_isotonic_calibration(holdout: Scored, window: Scored) -> float:
    """The same, calibrated again on the hold-out (CBPE)."""
    return _calibrate(holdout, window, None)


def estimate_by_domain_classifier(holdout: Scored, window: Scored) -> float:
    """The same, with the hold-out's rows weighted by the ratio of the densities, which a classifier of window
    against hold-out gives (PAPE, arXiv 2401.08348)."""
    rows = len(holdout.rows.label)
    inputs = np.concatenate([_encode(holdout), _encode(window)])
    is_window = np.arange(len(inputs)) >= rows
    classifier = CatBoostClassifier(
        iterations=60, depth=4, learning_rate=0.1, random_seed=1, thread_count=1, verbose=False
    )
    classifier.set_params(allow_writing_files=False)
    classifier.fit(inputs, is_window.astype(int))
    share = np.clip(classifier.predict_proba(inputs[:rows])[:, 1], 1e-3, 1.0 - 1e-3)
    weights = share / (1.0 - share)
    return _calibrate(holdout, window, np.minimum(weights / weights.mean(), _GREATEST_WEIGHT))


def _calibrate(holdout: Scored, window: Scored, weights: np.ndarray | None) -> float:
    right = (holdout.answers.predictions == holdout.rows.label).astype(float)
    calibration = IsotonicRegression(out_of_bounds="clip")
    calibration.fit(_get_confidence(holdout), right, sample_weight=weights)
    return float(calibration.predict(_get_confidence(window)).mean())


def _get_confidence(scored: Scored) -> np.ndarray:
    confidence = scored.answers.probability
    assert confidence is not None
    return confidence


def _encode(scored: Scored) -> np.ndarray:
    columns = scored.rows.columns
    numbers = [columns[f"x{n}"] for n in range(NUMBERS)]
    kinds = [(columns["kind"] == kind).astype(float) for kind in CATEGORIES]
    return np.stack([*numbers, *kinds], axis=1)
