"""The device that CatBoost fits on: this machine's processors, or its GPU where there is one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from evergreen.settings import Settings

logger = logging.getLogger(__name__)

TaskType = Literal["CPU", "GPU"]


# CatBoost samples features for each split on the CPU only.
_NOT_ON_GPU = frozenset(("rsm",))


def choose_task_type(settings: Settings, searched_parameters: Sequence[str] = ()) -> TaskType:
    """CatBoost's `task_type` by the setting EVERGREEN_TASK_TYPE: "cpu", "gpu", or "auto" (a GPU if present).

    `searched_parameters`: names of the parameters in the search space. Where the setting is "gpu" and there
    is none, or the search has a parameter that CatBoost does not have on a GPU, it is the CPU, with a warning
    in the log.
    """
    # CatBoost writes an error to standard error where there is no driver: ask it only if there may be a GPU.
    if settings.task_type == "cpu" or (settings.task_type == "auto" and not has_gpu_driver()):
        return "CPU"
    if count_gpus() > 0:
        cpu_parameters = sorted(_NOT_ON_GPU & set(searched_parameters))
        if not cpu_parameters:
            return "GPU"
        logger.warning("CatBoost has no %s on a GPU: fitting on the CPU", ", ".join(cpu_parameters))
        return "CPU"
    if settings.task_type == "gpu":
        logger.warning("EVERGREEN_TASK_TYPE is gpu, but CatBoost finds no GPU here: fitting on the CPU")
    return "CPU"


def has_gpu_driver() -> bool:
    """Whether the machine shows the device files of NVIDIA's driver, or of Windows' for Linux."""
    return any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg"))


def count_gpus() -> int:
    """How many GPUs CatBoost sees."""
    # CatBoost takes about a second to load, which machines without a GPU need not spend here.
    from catboost.utils import get_gpu_device_count

    return int(get_gpu_device_count())
