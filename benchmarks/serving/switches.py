"""Parts of the service that a measurement does without: seams where the product's code is replaced.

Nothing in the product knows of them: a benchmark alone starts `variant_service`, which applies them in the
worker. A seam that the installed service does not have cannot be switched off, and is told.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from evergreen.usecase import UseCase
from evergreen.usecase.policies import Serving

# The environment variables by which a variant is chosen: names of switches, and a level.
WITHOUT, DURABILITY = "BENCHMARK_WITHOUT", "BENCHMARK_DURABILITY"


def _do_nothing(*_: Any, **__: Any) -> None:
    """In the place of what is switched off."""


def _give_no_id(*_: Any, **__: Any) -> bytes:
    return b"none"


@dataclass(frozen=True)
class Seam:
    """A function or value of the product by its module and path, and what stands in its place."""

    module: str
    path: str
    replacement: Any = _do_nothing

    def find(self) -> tuple[Any, str] | None:
        """The module or class that holds it, and its name there; None where there is no such function."""
        try:
            owner: Any = importlib.import_module(self.module)
        except ImportError:
            return None
        *owners, name = self.path.split(".")
        for part in owners:
            owner = getattr(owner, part, None)
        return (owner, name) if hasattr(owner, name) else None


# Of each switch every seam that there is.
SWITCHES: dict[str, tuple[Seam, ...]] = {
    "log": (
        Seam("evergreen.serving.fast.predictor", "Predictor.encode_record"),
        Seam("evergreen.serving.runtime", "Runtime._log"),
    ),
    "metrics": (
        Seam("evergreen.serving.metrics.service_metrics", "ServiceMetrics.count_answers"),
        Seam("evergreen.serving.metrics.service_metrics", "ServiceMetrics.update_log"),
        Seam("evergreen.serving.metrics.request_metrics", "RequestMetrics.count"),
        Seam("evergreen.serving.metrics.stage_metrics", "StageMetrics.observe_batch"),
        Seam("evergreen.serving.metrics.stage_metrics", "StageMetrics.observe_waiting"),
    ),
    "drift_counts": (
        Seam(
            "evergreen.serving.predictions.shipping",
            "_COMMAND",
            (sys.executable, "-m", "benchmarks.serving.variant_shipper"),
        ),
    ),
    "trials": (Seam("evergreen.serving.trial.trials", "Trials.start"),),
    "trace_ids": (
        Seam("evergreen.serving.guard.guard", "choose_request_id", _give_no_id),
        Seam("evergreen.serving.guard.guard", "set_request_id"),
    ),
}


def list_missing(names: Sequence[str]) -> list[str]:
    """The switches among `names` that have no seam in the installed service."""
    return [name for name in names if not any(seam.find() for seam in SWITCHES[name])]


def apply_switches(names: Sequence[str]) -> None:
    """Replace every seam of those switches in this process. Raises KeyError for an unknown name."""
    for name in names:
        for seam in SWITCHES[name]:
            place = seam.find()
            if place is not None:
                setattr(*place, seam.replacement)


def has_durability() -> bool:
    """Whether a declaration chooses how durable its log is."""
    return "durability" in {field.name for field in fields(Serving)}


def set_durability(use_case: UseCase, level: str) -> UseCase:
    """The declaration with that level; the same for ""."""
    if not level:
        return use_case
    changes: dict[str, Any] = {"durability": level}
    return replace(use_case, serving=replace(use_case.serving, **changes))
