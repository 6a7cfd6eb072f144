from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evergreen.errors import NotEnoughData
from evergreen.training.data.split import number_entities, split_for_validation, split_training_set


def holdout(use_case, frame):
    [only] = split_training_set(use_case, frame)
    return only


def test_the_hold_out_in_time_is_the_newest_event_times(toy_use_case, toy_training_set):
    frame = toy_training_set(600).frame
    parts = holdout(toy_use_case, frame)
    assert frame["event_time"][parts.test].min() > frame["event_time"][parts.train].max()
    assert (parts.train | parts.test).all()
    assert parts.test.mean() == pytest.approx(1 / 6)  # of six equal months one is nearest to a fifth


def test_a_cut_never_divides_an_event_time_however_uneven(toy_use_case):
    times = pd.to_datetime(["2026-01-01"] * 10 + ["2026-02-01"] * 80 + ["2026-03-01"] * 10, utc=True)
    frame = pd.DataFrame({"event_time": times, "client_id": range(100), "leaves": ["no", "yes"] * 50})
    assert holdout(toy_use_case, frame).test.sum() == 10
    assert holdout(replace(toy_use_case, holdout_share=0.6), frame).test.sum() == 90


def test_a_stratified_hold_out_keeps_the_classes_shares_and_does_not_depend_on_the_order(
    toy_use_case, toy_training_set
):
    use_case = replace(toy_use_case, split="stratified")
    frame = toy_training_set(600).frame
    mask = holdout(use_case, frame).test
    for name in use_case.label.classes:
        assert mask[frame["leaves"] == name].mean() == pytest.approx(0.2, abs=0.005)
    shuffled = frame.sample(frac=1, random_state=3)
    again = pd.Series(holdout(use_case, shuffled).test, index=shuffled.index).sort_index()
    assert (again.to_numpy() == mask).all()


def test_a_stratified_hold_out_hardly_moves_when_rows_are_added(toy_use_case, toy_training_set):
    use_case = replace(toy_use_case, split="stratified")
    frame = toy_training_set(1200).frame
    before = holdout(use_case, frame.iloc[:1000]).test
    after = holdout(use_case, frame).test[:1000]
    assert (before != after).mean() < 0.03


def test_another_purpose_chooses_other_rows(toy_use_case, toy_training_set):
    use_case = replace(toy_use_case, split="stratified")
    frame = toy_training_set(600).frame
    one = holdout(use_case, frame)
    other = split_for_validation(use_case, frame)
    assert np.mean(one.test & other.test) < 0.1


def test_validation_falls_back_to_a_hash_with_one_event_time(toy_use_case, toy_training_set):
    frame = toy_training_set(600).frame
    first = frame[frame["event_time"] == frame["event_time"].min()]
    assert split_for_validation(toy_use_case, first).test.mean() == pytest.approx(0.2, abs=0.02)


def test_too_few_rows_one_event_time_and_an_absent_class_are_named(toy_use_case, toy_training_set):
    frame = toy_training_set(600).frame
    with pytest.raises(NotEnoughData, match="12 labelled rows"):
        holdout(toy_use_case, frame.iloc[:12])
    with pytest.raises(NotEnoughData, match="one event time") as caught:
        holdout(toy_use_case, frame.iloc[:100])
    assert 'split="stratified"' in caught.value.hint
    frame.loc[frame["event_time"] == frame["event_time"].max(), "leaves"] = "no"
    with pytest.raises(NotEnoughData, match=r"hold-out .* no row of class yes"):
        holdout(toy_use_case, frame)


def test_a_grouped_hold_out_divides_no_entity_and_moves_none_when_rows_are_added(
    toy_use_case, toy_training_set
):
    use_case = replace(toy_use_case, split="grouped")
    frame = toy_training_set(1200).frame
    parts = holdout(use_case, frame)
    assert not set(frame["client_id"][parts.test]) & set(frame["client_id"][parts.train])
    assert parts.test.mean() == pytest.approx(0.2, abs=0.07)
    before = holdout(use_case, frame.iloc[:1000])
    assert (before.test == parts.test[:1000]).all()
    inner = split_for_validation(use_case, frame[parts.train])
    clients = frame["client_id"][parts.train]
    assert not set(clients[inner.test]) & set(clients[inner.train])


@pytest.mark.parametrize("split", ["stratified", "grouped"])
def test_folds_hold_out_every_row_once(toy_use_case, toy_training_set, split):
    use_case = replace(toy_use_case, split=split, folds=5)
    frame = toy_training_set(600).frame
    made = split_training_set(use_case, frame)
    assert len(made) == 5
    assert (np.sum([part.test for part in made], axis=0) == 1).all()
    assert all((part.train ^ part.test).all() for part in made)
    if split == "stratified":
        shares = [np.mean(frame["leaves"][part.test] == "yes") for part in made]
        assert max(shares) - min(shares) < 0.02
    else:
        fold = np.argmax([part.test for part in made], axis=0)
        assert (pd.Series(fold).groupby(frame["client_id"].to_numpy()).nunique() == 1).all()


def test_fewer_rows_or_entities_than_folds_are_named(toy_use_case, toy_training_set):
    frame = toy_training_set(600).frame
    rare = frame.copy()
    rare.loc[rare["leaves"] == "yes", "leaves"] = "no"
    rare.loc[rare.index[:3], "leaves"] = "yes"
    with pytest.raises(NotEnoughData, match="3 rows of class yes for 5 folds"):
        split_training_set(replace(toy_use_case, split="stratified", folds=5), rare)
    with pytest.raises(NotEnoughData, match="100 entities for 120 folds"):
        split_training_set(replace(toy_use_case, split="grouped", folds=120), frame)


def test_entities_are_numbered_by_key(toy_use_case, toy_training_set):
    frame = toy_training_set(60).frame
    numbers = number_entities(toy_use_case, frame)
    assert len(np.unique(numbers)) == frame["client_id"].nunique()
    assert (pd.Series(numbers).groupby(frame["client_id"].to_numpy()).nunique() == 1).all()
