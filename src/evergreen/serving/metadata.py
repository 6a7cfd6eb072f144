"""The body of GET /metadata: what a service serves, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.serving.http.bodies import DeclarationRefusalBody, MetadataBody
from evergreen.serving.models.model_state import describe_model_state

if TYPE_CHECKING:
    from evergreen.serving.runtime import Runtime


def build_metadata(runtime: Runtime) -> MetadataBody:
    """Describe the model in service, the declaration, and the state of the log and of a trial."""
    served_model = runtime.slot.current
    use_case = runtime.use_case
    return {
        "use_case": use_case.name,
        "title": use_case.title,
        "entity": use_case.entity.name,
        "keys": list(use_case.entity.key_names),
        "problem": use_case.problem,
        "started_at": runtime.started_at.isoformat(),
        "declaration": runtime.declaration,
        "follows_declaration": runtime.succession.follows,
        "declaration_refused": _describe_refusal(runtime),
        "model_version": served_model.version if served_model else None,
        "run_id": served_model.model.run_id if served_model else None,
        "promoted_at": served_model.promoted_at.isoformat()
        if served_model and served_model.promoted_at
        else None,
        "loaded_at": served_model.loaded_at.isoformat() if served_model else None,
        "features": [
            {"name": f.name, "type": f.dtype, "meaning": f.meaning} for f in use_case.stored_features
        ],
        "model_features": list(served_model.model.feature_names) if served_model else [],
        "classes": list(use_case.label.classes),
        "predictions": dict(runtime.answered),
        "log": runtime.shipping.count_rows(),
        "trouble": runtime.slot.trouble,
        "trial": runtime.trials.describe(),
        **describe_model_state(runtime.slot, runtime.refusals),
    }


def _describe_refusal(runtime: Runtime) -> DeclarationRefusalBody | None:
    """Why the changed declaration is not taken over, from the service's parent process."""
    state = runtime.succession.read_state()
    refusal = state.refusal if state else None
    if refusal is None or refusal.declaration == runtime.declaration:
        return None  # a worker that holds it takes over just now
    return {
        "declaration": refusal.declaration,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "at": refusal.at,
    }
