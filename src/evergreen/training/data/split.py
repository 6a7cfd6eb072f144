"""How a training set is divided: the rows that models are fitted on, and the hold-out that judges them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
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


def split_training_set(use_case: UseCase, frame: pd.DataFrame) -> tuple[Cut, ...]:
    """Divide a training set to judge models: one hold-out, or with `folds` one cut for each fold.

    `split="time"`: the newest event times, cut between two of them so that the share of held-out rows comes
    nearest to `holdout_share`. A model is thus judged on rows newer than all it was fitted on. Rows whose
    label was not known yet when the hold-out begins (`label.delay`) are in neither part: a training at that
    moment could not have had them.
    `split="stratified"`: that share of each class, chosen by a seeded hash of key and event time; except for
    a few rows at the border, a row is in the same part in later trainings.
    `split="grouped"`: the rows of that share of the entities, chosen by a seeded hash of the key; an entity
    is in the same part in all trainings. With folds, every row is held out once.

    Raises NotEnoughData when a part would be empty or lack a class, or when all labels are one number.
    """
    if len(frame) < MINIMUM_ROWS:
        raise NotEnoughData(
            f"{use_case.name} has {len(frame)} labelled rows; a model takes {MINIMUM_ROWS} or more",
            hint="ingest more history, or choose a later --as-of",
        )
    if use_case.folds:
        cuts = _cut_folds(use_case, frame)
    else:
        cuts = (_cut_holdout(use_case, frame, use_case.holdout_share, purpose="holdout"),)
    for number, cut in enumerate(cuts, start=1):
        of_fold = f" of fold {number}" if use_case.folds else ""
        require_variety(use_case, frame[cut.train], f"the training part{of_fold}")
        require_variety(use_case, frame[cut.test], f"the hold-out{of_fold}")
    return cuts


def split_for_validation(use_case: UseCase, frame: pd.DataFrame) -> Cut:
    """Divide a training part: rows to fit trials on, and rows to measure their loss and stop them early.

    It is cut like the hold-out; where that leaves too little to fit on (with one event time only, say), by
    hash.
    """
    share = min(use_case.holdout_share, 0.25)
    if use_case.split == "time" and frame[EVENT_TIME].nunique() > 1:
        cut = _cut_newest(use_case, frame, share)
        if not _describe_missing_labels(use_case, frame[cut.train]):
            return cut
    if use_case.split == "grouped":
        cut = _cut_by_entity(use_case, frame, share, purpose="validation")
        if not _describe_missing_labels(use_case, frame[cut.train]):
            return cut
    cut = _cut_by_hash(use_case, frame, share, purpose="validation")
    require_variety(use_case, frame[cut.train], "what is left to fit trials on")
    return cut


def number_entities(use_case: UseCase, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The number of each row's entity, of shape (rows,); entities are numbered as they appear."""
    keys = list(use_case.entity.key_names)
    return np.asarray(frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(), dtype=np.int64)


def _cut_holdout(use_case: UseCase, frame: pd.DataFrame, share: float, *, purpose: str) -> Cut:
    """About `share` of the rows as the test part, in the way the use case splits."""
    if use_case.split == "stratified":
        return _cut_by_hash(use_case, frame, share, purpose)
    if use_case.split == "grouped":
        return _cut_by_entity(use_case, frame, share, purpose)
    if frame[EVENT_TIME].nunique() < 2:
        raise NotEnoughData(
            f"all {len(frame)} labelled rows of {use_case.name} have one event time, "
            f"{frame[EVENT_TIME].iloc[0]}",
            hint='a time-ordered hold-out needs two or more; or declare split="stratified"',
        )
    return _cut_newest(use_case, frame, share)


def _cut_folds(use_case: UseCase, frame: pd.DataFrame) -> tuple[Cut, ...]:
    count = use_case.folds
    if use_case.split == "grouped":
        if (entities := len(np.unique(number_entities(use_case, frame)))) < count:
            raise NotEnoughData(
                f"{use_case.name} has {entities} entities for {count} folds", hint="declare fewer folds"
            )
        fold = (_hash_rows(use_case, frame, (*use_case.entity.key_names,), "holdout") * count).astype(
            np.int64
        )
    else:
        fold = np.empty(len(frame), dtype=np.int64)
        place = _hash_rows(use_case, frame, (*use_case.entity.key_names, EVENT_TIME), "holdout")
        for name, rows in _list_class_rows(use_case, frame):
            if len(rows) < count:
                raise NotEnoughData(
                    f"{use_case.name} has {len(rows)} rows"
                    f"{f' of class {name}' if use_case.label.classes else ''} for {count} folds",
                    hint="declare fewer folds, or ingest more rows",
                )
            rank = np.argsort(np.argsort(place[rows], kind="stable"), kind="stable")
            fold[rows] = rank * count // len(rows)
    return tuple(Cut(train=fold != number, test=fold == number) for number in range(count))


def require_variety(use_case: UseCase, frame: pd.DataFrame, rows_name: str) -> None:
    """Raise NotEnoughData if the frame's label lacks a declared class, or has only one number."""
    lack = _describe_missing_labels(use_case, frame)
    if lack:
        raise NotEnoughData(
            f"{rows_name} of {use_case.name} ({len(frame)} rows) has {lack}",
            hint="ingest more history, choose another --as-of, or mend the declaration",
        )


def _describe_missing_labels(use_case: UseCase, frame: pd.DataFrame) -> str:
    label = frame[use_case.label.name]
    if not use_case.label.classes:
        return "no two different labels" if label.nunique() < 2 else ""
    absent = sorted(set(use_case.label.classes) - set(label))
    return f"no row of class {', '.join(absent)}" if absent else ""


def _cut_newest(use_case: UseCase, frame: pd.DataFrame, share: float) -> Cut:
    times = frame[EVENT_TIME]
    # Rows from each event time on, oldest first; the first (all rows) is no cut.
    rows_from = times.value_counts().sort_index()[::-1].cumsum()[::-1].iloc[1:]
    first = rows_from.index[int((rows_from / len(frame) - share).abs().argmin())]
    train = (times < first) & (times + use_case.label.delay <= first)
    return Cut(train=train.to_numpy(dtype=bool), test=(times >= first).to_numpy(dtype=bool))


def _cut_by_entity(use_case: UseCase, frame: pd.DataFrame, share: float, purpose: str) -> Cut:
    mask = _hash_rows(use_case, frame, use_case.entity.key_names, purpose) < share
    return _make_cut(use_case, mask, share)


def _cut_by_hash(use_case: UseCase, frame: pd.DataFrame, share: float, purpose: str) -> Cut:
    place = _hash_rows(use_case, frame, (*use_case.entity.key_names, EVENT_TIME), purpose)
    mask = np.zeros(len(frame), dtype=bool)
    for _, rows in _list_class_rows(use_case, frame):
        mask[rows[np.argsort(place[rows], kind="stable")][: round(share * len(rows))]] = True
    return _make_cut(use_case, mask, share)


def _make_cut(use_case: UseCase, mask: Mask, share: float) -> Cut:
    if not mask.any() or mask.all():
        raise NotEnoughData(
            f"{share:.0%} of the {len(mask)} labelled rows of {use_case.name} leaves one side empty",
            hint="ingest more rows" + (" of more entities" if use_case.split == "grouped" else ""),
        )
    return Cut(train=~mask, test=mask)


def _list_class_rows(use_case: UseCase, frame: pd.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Each class with the positions of its rows; for regression all rows under the name ""."""
    if not use_case.label.classes:
        yield "", np.arange(len(frame))
        return
    label = frame[use_case.label.name].to_numpy(dtype=object)
    for name in use_case.label.classes:
        yield name, np.flatnonzero(label == name)


def _hash_rows(
    use_case: UseCase, frame: pd.DataFrame, columns: Sequence[str], purpose: str
) -> npt.NDArray[np.float64]:
    """A hash of each row's values in these columns: uniform between 0 and 1, the same at every call.

    `purpose` makes the hashes of hold-out and validation independent.
    """
    identity = frame[list(columns)].copy()
    if EVENT_TIME in identity:
        identity[EVENT_TIME] = identity[EVENT_TIME].astype("int64")
    hashed = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    # pandas ignores its hash key for numbers, so a second round of hashing brings in the seed.
    salt = np.uint64(zlib.crc32(f"{purpose}{use_case.tuning.seed}".encode()))
    # 53 bits, which a float holds exactly: 1 is never reached.
    return np.asarray((pd.util.hash_array(hashed ^ salt) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
