"""Estimated quality as evidence: what a check estimated without labels, and for how many checks in succession
it has been beyond the smallest drop that counts."""

from __future__ import annotations

from evergreen.monitoring.governor.inputs import EstimatedEvidence, GovernorInputs
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate
from evergreen.usecase import UseCase

_LESS_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mae", "rmse"})


def build_estimated_evidence(
    use_case: UseCase,
    champion: int,
    estimated: EstimatedQuality | None,
    scale: float,
    previous: GovernorInputs | None,
) -> EstimatedEvidence | None:
    """The evidence of a check; None where nothing was estimated, or nothing can be compared with it.

    `scale` is what losses of numbers are divided by; `previous` are the inputs of the decision before.
    """
    estimate = _choose_estimate(use_case, estimated)
    if estimated is None or estimate is None or estimate.reference is None:
        return None
    less_is_better = estimate.metric in _LESS_IS_BETTER
    unit = scale if estimate.metric in ("mae", "rmse") else 1.0
    low, high, reference = estimate.low / unit, estimate.high / unit, estimate.reference / unit
    drop = low - reference if less_is_better else reference - high
    former = previous.estimated if previous is not None and previous.champion == champion else None
    return EstimatedEvidence(
        metric=estimate.metric,
        less_is_better=less_is_better,
        value=estimate.value / unit,
        low=low,
        high=high,
        reference=reference,
        rows=estimate.rows,
        trusted=bool(estimated.trusted),
        trust_reason=estimated.trust_reason or "no outcomes have shown yet whether it is right",
        breaches=(former.breaches if former else 0) + 1 if drop > use_case.retrain.min_drop else 0,
    )


def _choose_estimate(use_case: UseCase, estimated: EstimatedQuality | None) -> QualityEstimate | None:
    """The estimate of the gate's metric, else of the mean error or the share of right answers."""
    if estimated is None:
        return None
    usual = "mae" if use_case.problem == "regression" else "accuracy"
    return estimated.find(use_case.gate.metric) or estimated.find(usual)
