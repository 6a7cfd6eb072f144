"""The product's BentoML service with the switches and the level that the environment names.

python -m evergreen.serving.launch --service benchmarks.serving.variant_service:service
"""

from __future__ import annotations

import os
import sys

from benchmarks.serving.switches import DURABILITY, WITHOUT, apply_switches, set_durability

from evergreen.serving import service as product
from evergreen.settings import Settings
from evergreen.usecase import UseCase

_load = product.load_served_use_case


def load_variant() -> tuple[Settings, UseCase]:
    """What the service serves. In the worker, which has imported its runtime by now, parts are switched off.

    Not before: BentoML prepares the metrics of several processes before it makes the service.
    """
    settings, use_case = _load()
    if "evergreen.serving.runtime" in sys.modules:
        apply_switches([name for name in os.environ.get(WITHOUT, "").split(",") if name])
    return settings, set_durability(use_case, os.environ.get(DURABILITY, ""))


product.load_served_use_case = load_variant
service = product.service
