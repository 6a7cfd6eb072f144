"""What a backtest keeps in the home: its fits, so that an interrupted one goes on, and its result."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evergreen.backtest.fits.kept import count_fits
from evergreen.errors import SettingsError
from evergreen.model.signature import compute_feature_digests, list_model_inputs
from evergreen.private import make_private_folder, open_private_file, write_private_file
from evergreen.settings import Settings
from evergreen.training.fit.parameters import Parameters
from evergreen.usecase import UseCase

_FORMAT = 1  # of the fits: raised when a fit of the same rows would give another model
_FITS, _ROWS = "fits-", "rows-"
_SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class _Progress:
    """The file `state.json`: of which fits and options a backtest is or was, how long it took, and whether it
    came to its end."""

    fits_key: str
    options_key: str
    seconds: float
    is_done: bool


class BacktestFolder:
    """The folder `backtests/USE_CASE` of a home, which one backtest at a time holds.

    `fits` is where fits are kept. They are known by the content of their rows, so only what else a model
    depends on is part of the folder's name: parameters, declaration, CatBoost's version. `rows` is where this
    backtest's rows lie, for the processes that fit. `went_on` is the number of fits that an interrupted
    backtest of the same kind has left; `was_other` says that an interrupted one was of another kind.
    """

    def __init__(self, path: Path, fits_key: str, options_key: str) -> None:
        self.path = path
        self.fits, self.rows = path / f"{_FITS}{fits_key}", path / f"{_ROWS}{os.getpid()}"
        self._keys = (fits_key, options_key)
        former = _read_progress(path)
        is_same = former is not None and not former.is_done and former.fits_key == fits_key
        self.went_on = count_fits(self.fits) if is_same else 0
        self.was_other = former is not None and not former.is_done and not is_same
        is_continued = is_same and former is not None and former.options_key == options_key
        self._seconds_before = former.seconds if is_continued and former is not None else 0.0
        self._start = self._saved_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """The wall time of this backtest, with that of the interrupted ones that it continues."""
        return self._seconds_before + time.monotonic() - self._start

    def begin(self) -> None:
        """Make the folders, and remove what backtests of another kind, or killed ones, have left."""
        for folder in self.path.iterdir():
            stale = folder.name.startswith(_FITS) and folder != self.fits
            if stale or folder.name.startswith(_ROWS):
                shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(self.fits)
        self.save(is_done=False)

    def save_now_and_then(self) -> None:
        """Note the time that has passed, every few seconds."""
        if time.monotonic() - self._saved_at > _SAVE_SECONDS:
            self.save(is_done=False)

    def save(self, *, is_done: bool) -> None:
        """Note the time that has passed, and whether the backtest has come to its end."""
        self._saved_at = time.monotonic()
        progress = _Progress(*self._keys, round(self.seconds, 3), is_done)
        write_private_file(self.path / "state.json", json.dumps(vars(progress)))


@contextmanager
def open_folder(
    settings: Settings, use_case: UseCase, fits_key: str, options_key: str
) -> Iterator[BacktestFolder]:
    """Hold the folder of a use case's backtests. Raises SettingsError while another process holds it."""
    path = settings.home / "backtests" / use_case.name
    make_private_folder(path)
    handle = open_private_file(path / "lock", os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another backtest of {use_case.name} is under way in {settings.home}",
                hint="wait until it has ended, or give this one a home of its own (EVERGREEN_HOME)",
            ) from None
        folder = BacktestFolder(path, fits_key, options_key)
        folder.begin()
        try:
            yield folder
        finally:
            shutil.rmtree(folder.rows, ignore_errors=True)
    finally:
        os.close(handle)


def compute_fits_key(use_case: UseCase, parameters: Parameters) -> str:
    """A digest of all that a fit depends on beside the content of its rows."""
    tuning = use_case.tuning
    facts = {
        "format": _FORMAT,
        "catboost": version("catboost"),
        "columns": [[feature.name, feature.dtype] for feature in use_case.stored_features],
        "keys": [[key.name, key.dtype] for key in use_case.entity.keys],
        "inputs": [[feature.name, feature.numeric] for feature in list_model_inputs(use_case)],
        "code": compute_feature_digests(use_case),
        "label": [use_case.label.name, *use_case.label.classes],
        "delay": use_case.label.delay.total_seconds(),
        "split": [use_case.split, use_case.holdout_share],
        "fit": [tuning.iterations, tuning.early_stopping_rounds, tuning.seed, repr(tuning.class_weights)],
        "parameters": dict(parameters),
    }
    return compute_digest(facts)[:16]


def compute_digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 (hexadecimal) of a document."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _read_progress(path: Path) -> _Progress | None:
    try:
        return _Progress(**json.loads((path / "state.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
