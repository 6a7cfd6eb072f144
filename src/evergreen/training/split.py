"""Which rows a model is judged on."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.errors import NotEnoughData
from evergreen.usecase import EVENT_TIME, UseCase

MINIMUM_ROWS = 50

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """Which rows a model is fitted on and which judge it, each of shape (rows,); no row is in both."""

    train: Mask
    test: Mask


def holdout(use_case: UseCase, frame: pd.DataFrame) -> Cut:
    """The training part of a training set and its hold-out.

    `split="time"`: the newest event times, cut between two of them so that the share of held-out rows comes
    nearest to `holdout_share`. A model is so judged on what came after all it was fitted on. Rows whose label
    was not known yet when the hold-out begins (`label.delay`) are in neither part: nobody could have trained
    on them then.
    `split="stratified"`: that share of each class, chosen by a seeded hash of key and event time; a row stays
    on its side from one training to the next, but for a few at the border.

    Raises NotEnoughData when a side would be empty or lack a class, or when there is one number to learn.
    """
    if len(frame) < MINIMUM_ROWS:
        raise NotEnoughData(
            f"{use_case.name} has {len(frame)} labelled rows; a model takes {MINIMUM_ROWS} or more",
            hint="ingest more history, or choose a later --as-of",
        )
    parts = cut(use_case, frame, use_case.holdout_share, purpose="holdout")
    require_variety(use_case, frame[parts.train], "the training part")
    require_variety(use_case, frame[parts.test], "the hold-out")
    return parts


def validation(use_case: UseCase, frame: pd.DataFrame) -> Cut:
    """A training part's rows to fit trials on, and those that judge them and stop fitting; cut like the
    hold-out.

    Where that leaves too little to fit on (one event time only, say), the rows are cut by hash instead.
    """
    share = min(use_case.holdout_share, 0.25)
    if use_case.split == "time" and frame[EVENT_TIME].nunique() > 1:
        parts = _newest(use_case, frame, share)
        if not _lack(use_case, frame[parts.train]):
            return parts
    parts = _by_hash(use_case, frame, share, purpose="validation")
    require_variety(use_case, frame[parts.train], "what is left to fit trials on")
    return parts


def cut(use_case: UseCase, frame: pd.DataFrame, share: float, *, purpose: str) -> Cut:
    """About `share` of the rows as the test part, in the way the use case splits."""
    if use_case.split == "stratified":
        return _by_hash(use_case, frame, share, purpose)
    if frame[EVENT_TIME].nunique() < 2:
        raise NotEnoughData(
            f"all {len(frame)} labelled rows of {use_case.name} have one event time, "
            f"{frame[EVENT_TIME].iloc[0]}",
            hint='a time-ordered hold-out needs two or more; or declare split="stratified"',
        )
    return _newest(use_case, frame, share)


def require_variety(use_case: UseCase, frame: pd.DataFrame, part: str) -> None:
    """Raise NotEnoughData if the frame's label lacks a declared class, or has only one number."""
    lack = _lack(use_case, frame)
    if lack:
        raise NotEnoughData(
            f"{part} of {use_case.name} ({len(frame)} rows) has {lack}",
            hint="ingest more history, choose another --as-of, or mend the declaration",
        )


def _lack(use_case: UseCase, frame: pd.DataFrame) -> str:
    label = frame[use_case.label.name]
    if not use_case.label.classes:
        return "no two different labels" if label.nunique() < 2 else ""
    absent = sorted(set(use_case.label.classes) - set(label))
    return f"no row of class {', '.join(absent)}" if absent else ""


def _newest(use_case: UseCase, frame: pd.DataFrame, share: float) -> Cut:
    times = frame[EVENT_TIME]
    # Rows from each event time on, oldest first; the first (all rows) is no cut.
    from_here = times.value_counts().sort_index()[::-1].cumsum()[::-1].iloc[1:]
    first = from_here.index[int((from_here / len(frame) - share).abs().argmin())]
    known = (times < first) & (times + use_case.label.delay <= first)
    return Cut(train=known.to_numpy(dtype=bool), test=(times >= first).to_numpy(dtype=bool))


def _by_hash(use_case: UseCase, frame: pd.DataFrame, share: float, purpose: str) -> Cut:
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
    return Cut(train=~mask, test=mask)
