"""What may be learned from before the hold-out begins, and what a comparison may claim."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import NotEnoughData
from evergreen.training.data.split import split_for_validation, split_training_set
from evergreen.training.judge.contest import describe_split


def late(use_case, days):
    """The use case with labels that are known so many days after their event."""
    return replace(use_case, label=replace(use_case.label, delay=timedelta(days=days)))


@pytest.mark.parametrize(("days", "months"), [(0, 5), (31, 5), (32, 4), (70, 3)])
def test_labels_that_were_not_known_when_the_hold_out_begins_are_not_trained_on(
    toy_use_case, toy_training_set, days, months
):
    frame = toy_training_set(600).frame
    parts = split_training_set(late(toy_use_case, days), frame)[0]
    first = frame["event_time"][parts.test].min()
    assert first == pd.Timestamp("2026-06-01", tz="UTC")
    known = frame["event_time"][parts.train] + timedelta(days=days)
    assert known.max() <= first
    assert frame["event_time"][parts.train].nunique() == months


def test_the_same_holds_for_the_rows_that_tune(toy_use_case, toy_training_set):
    frame = toy_training_set(600).frame
    parts = split_for_validation(late(toy_use_case, 32), frame)
    assert frame["event_time"][parts.test].unique() == [pd.Timestamp("2026-06-01", tz="UTC")]
    assert frame["event_time"][parts.train].nunique() == 4


def test_where_the_delay_leaves_nothing_trials_use_a_hash_and_a_hold_out_is_refused(
    toy_use_case, toy_training_set
):
    frame = toy_training_set(600).frame
    parts = split_for_validation(late(toy_use_case, 365), frame)
    assert (parts.train ^ parts.test).all()
    with pytest.raises(NotEnoughData, match=r"training part of toy .0 rows. has no row of class no, yes"):
        split_training_set(late(toy_use_case, 365), frame)[0]


def test_a_number_that_never_varies_cannot_be_learned(toy_use_case, toy_training_set):
    numeric = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    frame = toy_training_set(600).frame
    frame["leaves"] = 4.5
    with pytest.raises(NotEnoughData, match=r"training part of toy .* has no two different labels"):
        split_training_set(numeric, frame)[0]
    frame["leaves"] = np.arange(600.0)
    assert split_training_set(numeric, frame)[0].test.sum() == 100


def test_trials_of_a_number_are_not_fitted_on_one_value(toy_use_case, toy_training_set):
    numeric = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    frame = toy_training_set(600).frame
    newest = frame["event_time"] == frame["event_time"].max()
    frame["leaves"] = np.where(newest, np.arange(600.0), 1.0)
    parts = split_for_validation(numeric, frame)
    assert frame["leaves"][parts.train].nunique() > 1


def test_a_split_is_told_apart_by_all_that_decides_it(toy_use_case):
    stratified = replace(toy_use_case, split="stratified")
    others = [
        toy_use_case,
        stratified,
        replace(stratified, holdout_share=0.3),
        replace(stratified, tuning=replace(stratified.tuning, seed=8)),
    ]
    assert len({describe_split(use_case) for use_case in others}) == 4
