"""Libraries that a training needs later, loaded while it fits: together they take seconds."""

from __future__ import annotations

import gc
import importlib
import threading
from functools import cache

# What a search itself uses. Loaded first: two threads must not be half-way through one package.
_SEARCH_LIBRARIES = ("catboost", "optuna.samplers", "optuna.pruners", "scipy.optimize")
_LATER_LIBRARIES = (
    *("mlflow", "mlflow.catboost", "mlflow.data.meta_dataset", "mlflow.data.code_dataset_source"),
    *("sklearn.metrics", "sklearn.compose", "sklearn.linear_model", "sklearn.pipeline", "sklearn.dummy"),
    "sklearn.ensemble",
)


def preload_libraries() -> threading.Thread:
    """Load what evaluating and logging need, in a thread: CatBoost leaves Python alone while it fits.

    Join the thread before anything of it is used.
    """
    for name in _SEARCH_LIBRARIES:
        importlib.import_module(name)
    loading = threading.Thread(target=import_libraries, name="warm-up", daemon=True)
    loading.start()
    return loading


def import_libraries() -> None:
    """Load what evaluating and logging need, here and now: threads that use it may be started then."""
    from evergreen.registry.connection import quiet_mlflow

    quiet_mlflow()  # MLflow reads its settings when it is imported
    for name in _LATER_LIBRARIES:
        importlib.import_module(name)
    _freeze_objects()


@cache
def _freeze_objects() -> None:
    """What libraries made stays for good: the collector need not look through it again and again."""
    gc.freeze()
