"""Which rows a model is judged on."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.errors import NotEnoughData
from evergreen.usecase import UseCase

MINIMUM_ROWS = 50
EVENT_TIME = "event_time"

Mask = npt.NDArray[np.bool_]


def holdout(use_case: UseCase, frame: pd.DataFrame) -> Mask:
    """True for the hold-out rows of a training set, of shape (rows,).

    `split="time"`: the newest event times, cut between two of them so that the share of held-out rows comes
    nearest to `holdout_share`. A model is so judged on what came after all it was fitted on.
    `split="stratified"`: that share of each class, chosen by a seeded hash of key and event time; a row stays
    on its side from one training to the next, but for a few at the border.

    Raises NotEnoughData when a side would be empty or lack a class.
    """
    if len(frame) < MINIMUM_ROWS:
        raise NotEnoughData(
            f"{use_case.name} has {len(frame)} labelled rows; a model takes {MINIMUM_ROWS} or more",
            hint="ingest more history, or choose a later --as-of",
        )
    mask = cut(use_case, frame, use_case.holdout_share, purpose="holdout")
    require_classes(use_case, frame[~mask], "the training part")
    require_classes(use_case, frame[mask], "the hold-out")
    return mask


def validation(use_case: UseCase, frame: pd.DataFrame) -> Mask:
    """True for the rows of a training part that tune it and stop its fitting; cut like the hold-out.

    Where the training part has one event time only, the rows are cut by hash instead.
    """
    share = min(use_case.holdout_share, 0.25)
    if use_case.split == "time" and frame[EVENT_TIME].nunique() > 1:
        mask = _newest(frame, share)
        if _classes_present(use_case, frame[~mask]):
            return mask
    return _by_hash(use_case, frame, share, purpose="validation")


def cut(use_case: UseCase, frame: pd.DataFrame, share: float, *, purpose: str) -> Mask:
    """A mask over about `share` of the rows, in the way the use case splits."""
    if use_case.split == "stratified":
        return _by_hash(use_case, frame, share, purpose)
    if frame[EVENT_TIME].nunique() < 2:
        raise NotEnoughData(
            f"all {len(frame)} labelled rows of {use_case.name} have one event time, "
            f"{frame[EVENT_TIME].iloc[0]}",
            hint='a time-ordered hold-out needs two or more; or declare split="stratified"',
        )
    return _newest(frame, share)


def require_classes(use_case: UseCase, frame: pd.DataFrame, part: str) -> None:
    """Raise NotEnoughData if a declared class, or anything to vary, is absent from the frame's label."""
    absent = sorted(set(use_case.label.classes) - set(frame[use_case.label.name]))
    if absent:
        raise NotEnoughData(
            f"{part} of {use_case.name} ({len(frame)} rows) has no row of class {', '.join(absent)}",
            hint="ingest more history, choose another --as-of, or take the class out of the declaration",
        )


def _classes_present(use_case: UseCase, frame: pd.DataFrame) -> bool:
    return set(use_case.label.classes) <= set(frame[use_case.label.name])


def _newest(frame: pd.DataFrame, share: float) -> Mask:
    times = frame[EVENT_TIME]
    # Rows from each event time on, oldest first; the first (all rows) is no cut.
    from_here = times.value_counts().sort_index()[::-1].cumsum()[::-1].iloc[1:]
    first = (from_here / len(frame) - share).abs().idxmin()
    return (times >= first).to_numpy(dtype=bool)


def _by_hash(use_case: UseCase, frame: pd.DataFrame, share: float, purpose: str) -> Mask:
    identity = frame[[*use_case.entity.key_names, EVENT_TIME]].copy()
    identity[EVENT_TIME] = identity[EVENT_TIME].astype("int64")
    hashed = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    # pandas' own hash key does nothing to numbers, so the seed goes in by a second round.
    salt = np.uint64(zlib.crc32(f"{purpose}{use_case.tuning.seed}".encode()))
    order = pd.util.hash_array(hashed ^ salt)
    classes = (
        frame[use_case.label.name].to_numpy(dtype=object)
        if use_case.label.classes
        else np.zeros(len(frame), dtype=np.int8)
    )
    mask = np.zeros(len(frame), dtype=bool)
    for name in use_case.label.classes or (0,):
        rows = np.flatnonzero(classes == name)
        chosen = rows[np.argsort(order[rows], kind="stable")][: round(share * len(rows))]
        mask[chosen] = True
    if not mask.any() or mask.all():
        raise NotEnoughData(
            f"{share:.0%} of the {len(frame)} labelled rows of {use_case.name} leaves one side empty",
            hint="ingest more rows",
        )
    return mask
