"""The product's BentoML service whose challengers fail, or whose declaration has a smaller spool.

python -m evergreen.serving.launch --service benchmarks.chaos.faulty_service:service

Where a model of `FAULTY` is loaded, its predictions take long or raise; the file and its verification are
those of any version. Nothing in the product knows of it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import Any, Literal

from evergreen.serving import service as product
from evergreen.settings import Settings
from evergreen.usecase import UseCase

# Environment variables: "VERSION:slow" (or hang, or raise); and "MEGABYTES:POLICY" of the spool.
FAULTY, SPOOL = "CHAOS_FAULTY_VERSION", "CHAOS_SPOOL"
SERVICE = "benchmarks.chaos.faulty_service:service"
# Beyond both limits of a trial's latency, and not so long that the champion's requests wait for it.
_SLOW_SECONDS = 0.1
# For a client it is the same as never.
_HANG_SECONDS = 120.0

_load = product.load_served_use_case


class FaultyModel:
    """A model that predicts late, or not at all; else the same as `model`."""

    def __init__(self, model: Any, fault: str) -> None:
        self._model = model
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, *arguments: Any, **options: Any) -> Any:
        if self._fault == "raise":
            raise RuntimeError("this model cannot predict")
        time.sleep(_HANG_SECONDS if self._fault == "hang" else _SLOW_SECONDS)
        return self._model.predict(*arguments, **options)


def load_faulty() -> tuple[Settings, UseCase]:
    """What the service serves. Models are made faulty in the worker, which has imported its runtime."""
    settings, use_case = _load()
    if (faulty := os.environ.get(FAULTY)) and "evergreen.serving.runtime" in sys.modules:
        version, fault = faulty.split(":")
        _spoil_version(int(version), fault)
    if declared := os.environ.get(SPOOL):
        megabytes, policy = declared.split(":")
        full: Literal["refuse", "drop_oldest"] = "drop_oldest" if policy == "drop_oldest" else "refuse"
        serving = replace(use_case.serving, spool_mb=int(megabytes), spool_full=full)
        use_case = replace(use_case, serving=serving)
    return settings, use_case


def _spoil_version(version: int, fault: str) -> None:
    from evergreen.serving.models.loader import ModelLoader

    load = ModelLoader.load_verified_model
    if getattr(load, "is_spoilt", False):
        return

    def load_spoilt(loader: ModelLoader, wanted: int) -> Any:
        loaded = load(loader, wanted)
        return replace(loaded, model=FaultyModel(loaded.model, fault)) if wanted == version else loaded

    load_spoilt.is_spoilt = True  # type: ignore[attr-defined]
    ModelLoader.load_verified_model = load_spoilt  # type: ignore[assignment,method-assign]


product.load_served_use_case = load_faulty
service = product.service
