"""The rows of a replay as arrays, which processes that fit share through files.

Categories and text keys are numbers into a list of names, so that all of it is plain arrays: the parent
writes them once, and each fitting process maps them into its memory instead of holding a copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.signature import list_model_inputs
from evergreen.private import make_private_folder
from evergreen.store.connection.arrow import to_integers
from evergreen.store.history.asof import to_microseconds
from evergreen.store.history.known_rows import FOREVER, Moments
from evergreen.store.history.labelled_history import LabelledHistory
from evergreen.store.tables.frames import to_frame
from evergreen.usecase import EVENT_TIME, UseCase

_NAMES = "names.json"
# No feature can have these names.
_TRUTH, _CONTENT = "__truth__", "__content__"
_TIMES = (EVENT_TIME, "known_from", "known_until", "asked_at", "label_known_at")


@dataclass(frozen=True, eq=False)
class PastRows:
    """n rows of a labelled history in its order, by event time.

    `arrays`, each of shape (n,): the model's inputs, the label, its last version and the keys, by
    their names: float64 with NaN for numbers, int64 for keys of whole numbers, else int32 places in the list
    `names` of that name (-1: missing). `times`, of shape (n,), are the moments of `LabelledHistory` and the
    event time in microseconds since 1970. `content` is a hash of each row, of shape (n,) and dtype uint64.
    """

    use_case: UseCase
    arrays: Mapping[str, np.ndarray]
    names: Mapping[str, npt.NDArray[np.object_]]
    times: Mapping[str, Moments]
    content: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.content)

    def select_known(
        self, as_of: datetime, start: datetime | None = None, end: datetime | None = None
    ) -> npt.NDArray[np.int64]:
        """The places of the rows of the training set as of a moment, with event times after `start` and up to
        `end`."""
        moment, times = to_microseconds(as_of), self.times[EVENT_TIME]
        # Rows are in the order of event time, so a span is a slice.
        first = 0 if start is None else int(np.searchsorted(times, to_microseconds(start), side="right"))
        last = len(times) if end is None else int(np.searchsorted(times, to_microseconds(end), side="right"))
        is_known = self.times["known_from"][first:last] <= moment
        is_known &= moment < self.times["known_until"][first:last]
        return np.flatnonzero(is_known) + first

    def identify(self, places: npt.NDArray[np.int64]) -> str:
        """A text that is equal for two training sets, whichever store they are of, if and only if a model
        would learn the same from them."""
        return hashlib.sha256(self.content[places].tobytes()).hexdigest()[:32]

    def find_asked(self) -> npt.NDArray[np.int64]:
        """The places of the rows that stand for requests."""
        return np.flatnonzero(self.times["asked_at"] < FOREVER)

    def take_inputs(self, places: npt.NDArray[np.int64] | slice) -> dict[str, np.ndarray]:
        """The model's inputs of some rows: float64 with NaN, or objects of str or None."""
        return {feature.name: self.take(feature.name, places) for feature in list_model_inputs(self.use_case)}

    def take_labels(self, places: npt.NDArray[np.int64] | slice, *, last: bool = False) -> np.ndarray:
        """The labels of some rows, class names or float64; with `last` in their last version."""
        return self.take(_TRUTH if last else self.use_case.label.name, places)

    def take_frame(self, places: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Keys, event time and label of some rows, as the split of a training set takes them."""
        times = pd.to_datetime(self.times[EVENT_TIME][places], unit="us", utc=True)
        return pd.DataFrame(
            {
                **{key: self.take(key, places) for key in self.use_case.entity.key_names},
                EVENT_TIME: pd.Series(times, dtype="datetime64[us, UTC]"),
                self.use_case.label.name: self.take_labels(places),
            }
        )

    def take(self, name: str, places: npt.NDArray[np.int64] | slice) -> np.ndarray:
        """One array at some places, with names for their numbers."""
        values = np.asarray(self.arrays[name][places])
        return self.names[name][values] if name in self.names else values

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder, from which `load_rows` maps them."""
        make_private_folder(folder)
        for name, values in (*self.arrays.items(), (_CONTENT, self.content)):
            np.save(folder / f"column.{name}.npy", values)
        for name, values in self.times.items():
            np.save(folder / f"time.{name}.npy", values)
        names = {name: list(values[:-1]) for name, values in self.names.items()}
        (folder / _NAMES).write_text(
            json.dumps({"arrays": list(self.arrays), "names": names}), encoding="utf-8"
        )


def build_rows(use_case: UseCase, history: LabelledHistory) -> PastRows:
    """The arrays of a labelled history, with the on-demand features. Raises StoreError when one fails."""
    frame = to_frame(history.table, use_case.entity.key_names)
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    label = use_case.label.name
    values: dict[str, Any] = {
        **{feature.name: columns[feature.name] for feature in list_model_inputs(use_case)},
        **{key: frame[key].to_numpy() for key in use_case.entity.key_names},
        label: frame[label].to_numpy(),
        _TRUTH: history.truth.to_numpy(zero_copy_only=False),
    }
    arrays: dict[str, np.ndarray] = {}
    names: dict[str, npt.NDArray[np.object_]] = {}
    for name, array in values.items():
        if array.dtype == object:
            arrays[name], names[name] = _number_names(array)
        else:
            arrays[name] = array if name in use_case.entity.key_names else array.astype(np.float64)
    return PastRows(
        use_case,
        arrays,
        names,
        {
            EVENT_TIME: to_integers(history.table[EVENT_TIME]),
            **{name: getattr(history, name) for name in _TIMES[1:]},
        },
        _hash_rows(frame, columns),
    )


def load_rows(use_case: UseCase, folder: Path) -> PastRows:
    """The rows that `PastRows.save` wrote, mapped into memory."""
    document = json.loads((folder / _NAMES).read_text(encoding="utf-8"))

    def load(file: str) -> np.ndarray:
        values: np.ndarray = np.load(folder / f"{file}.npy", mmap_mode="r")
        return values

    return PastRows(
        use_case,
        {name: load(f"column.{name}") for name in document["arrays"]},
        {name: _end_with_none(values) for name, values in document["names"].items()},
        {name: load(f"time.{name}") for name in _TIMES},
        load(f"column.{_CONTENT}"),
    )


def _number_names(values: np.ndarray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.object_]]:
    numbers, names = pd.factorize(values, use_na_sentinel=True)
    return numbers.astype(np.int32), _end_with_none(list(names))


def _end_with_none(names: list[str]) -> npt.NDArray[np.object_]:
    """The names with None behind them, where the number -1 finds it."""
    array = np.empty(len(names) + 1, dtype=object)
    array[:-1] = names
    return array


def _hash_rows(frame: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> npt.NDArray[np.uint64]:
    """A hash of each row's keys, event time, features and label: equal where a model would learn the same."""
    whole = frame.assign(**{name: values for name, values in columns.items() if name not in frame})
    return np.asarray(pd.util.hash_pandas_object(whole, index=False), dtype=np.uint64)
