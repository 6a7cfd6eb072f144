"""What CatBoost fits on: this machine's processors, or its GPU where there is one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from evergreen.settings import Settings

logger = logging.getLogger(__name__)

TaskType = Literal["CPU", "GPU"]


def task_type(settings: Settings) -> TaskType:
    """CatBoost's `task_type` by the setting EVERGREEN_TASK_TYPE: "cpu", "gpu", or "auto" (a GPU if present).

    Where a GPU is asked for and none is there, the CPU does it, with a warning in the log.
    """
    # CatBoost complains on standard error where there is no driver: ask it only if there may be a GPU.
    if settings.task_type == "cpu" or (settings.task_type == "auto" and not driver_there()):
        return "CPU"
    if gpus() > 0:
        return "GPU"
    if settings.task_type == "gpu":
        logger.warning("EVERGREEN_TASK_TYPE is gpu, but CatBoost finds no GPU here: fitting on the CPU")
    return "CPU"


def driver_there() -> bool:
    """Whether the machine shows the device files of NVIDIA's driver, or of Windows' for Linux."""
    return any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg"))


def gpus() -> int:
    """How many GPUs CatBoost sees."""
    from catboost.utils import get_gpu_device_count

    return int(get_gpu_device_count())
