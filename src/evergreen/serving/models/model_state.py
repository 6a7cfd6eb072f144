"""What the service tells about the model that it answers with: parts of /metadata, and /readyz."""

from __future__ import annotations

from evergreen.serving.http.bodies import CachedModelBody, ModelStateBody, ReadinessBody, RefusalBody
from evergreen.serving.models.refusals import Refusal, RefusalLog
from evergreen.serving.models.slot import ModelSlot, ServedModel


def describe_model_state(slot: ModelSlot, refusals: RefusalLog) -> ModelStateBody:
    """How the model came into service, and whether the champion's version is refused."""
    served_model, champion = slot.current, slot.champion
    refusal = refusals.find(champion.version, champion.run_id) if champion else None
    return {
        "model_digest": served_model.model.digest if served_model else None,
        "model_warnings": list(served_model.model.warnings) if served_model else [],
        "cached": _describe_cached_model(served_model),
        "refused": _describe_refusal(refusal) if refusal else None,
    }


def describe_readiness(slot: ModelSlot) -> ReadinessBody:
    """Whether a model is in service, which, and whether it is the one of before the start."""
    served_model = slot.current
    return {
        "status": "ready" if served_model else "not ready",
        "model_version": served_model.version if served_model else None,
        "cached": _describe_cached_model(served_model),
    }


def _describe_refusal(refusal: Refusal) -> RefusalBody:
    return {
        "version": refusal.version,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "at": refusal.at.isoformat(),
    }


def _describe_cached_model(served_model: ServedModel | None) -> CachedModelBody | None:
    if served_model is None or served_model.verified_at is None:
        return None
    return {
        "since": served_model.loaded_at.isoformat(),
        "verified_at": served_model.verified_at.isoformat(),
    }
