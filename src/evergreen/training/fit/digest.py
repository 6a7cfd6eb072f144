"""A model's digest: the same data, recipe and versions give the same bytes, on any number of threads."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

# Metadata that CatBoost writes into a model and that differs each time: an id, the time, and the training
# loss at every tree, summed in the order in which threads finished.
_VOLATILE_METADATA = ("model_guid", "train_finish_time", "training")


def strip_fit_metadata(model: Any) -> Any:
    """Take out of a fitted CatBoost model what differs between two fits of one recipe; returns the model.

    What is left follows from the rows, the parameters, the seed and CatBoost's version. The number of
    threads is no part of it (it changes no tree), so that machines of different sizes agree.
    """
    metadata = model.get_metadata()
    for name in _VOLATILE_METADATA:
        if name in metadata:
            del metadata[name]
    params = json.loads(metadata["params"])
    params.get("system_options", {}).pop("thread_count", None)
    params.get("flat_params", {}).pop("thread_count", None)
    metadata["params"] = json.dumps(params, sort_keys=True, separators=(",", ":"))
    return model


def digest_model(model: Any) -> str:
    """SHA-256 (hexadecimal) of the file, in CatBoost's own format, of a model from `strip_fit_metadata`."""
    with tempfile.TemporaryDirectory(prefix="evergreen-digest-") as folder:
        path = Path(folder) / "model.cb"
        model.save_model(str(path))
        return hashlib.sha256(path.read_bytes()).hexdigest()
