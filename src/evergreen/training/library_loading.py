"""Loading the libraries that a training needs later, in a thread beside its fits: they take seconds."""

from __future__ import annotations

import gc
import importlib
import threading
from functools import cache

from evergreen.registry.connection import quiet_mlflow

# What a search itself uses. Loaded before the thread starts, as two threads that import parts of one package
# at the same time may see it half loaded.
_SEARCH_LIBRARIES = ("catboost", "optuna.samplers", "optuna.pruners", "scipy.optimize")
_LATER_LIBRARIES = (
    *("mlflow", "mlflow.catboost", "mlflow.data.meta_dataset", "mlflow.data.code_dataset_source"),
    *("sklearn.metrics", "sklearn.compose", "sklearn.linear_model", "sklearn.pipeline", "sklearn.dummy"),
    "sklearn.ensemble",
)


def start_loading_libraries() -> threading.Thread:
    """Load what evaluating and logging need in a thread, and return it; CatBoost fits without Python's lock.

    Join the thread before anything of these libraries is used.
    """
    for name in _SEARCH_LIBRARIES:
        importlib.import_module(name)
    thread = threading.Thread(target=load_evaluation_libraries, name="load-libraries", daemon=True)
    thread.start()
    return thread


def load_evaluation_libraries() -> None:
    """Load what evaluating and logging need; afterwards several threads may use it."""
    quiet_mlflow()  # MLflow reads its settings when it is imported
    for name in _LATER_LIBRARIES:
        importlib.import_module(name)
    _freeze_objects()


@cache
def _freeze_objects() -> None:
    """Take all present objects out of garbage collection: those of loaded libraries are never freed."""
    gc.freeze()
