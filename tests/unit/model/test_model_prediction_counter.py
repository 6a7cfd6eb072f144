from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from evergreen.errors import SchemaMismatch
from evergreen.model import prediction_counter
from evergreen.model.prediction_counter import PredictionCounter, ProfileBins, digest_bins
from evergreen.model.reference_profile import (
    PREDICTION,
    arrange_profiles,
    build_reference_profile,
    build_slice_profiles,
)
from evergreen.usecase import Slice


@pytest.fixture
def sliced(toy_use_case):
    return replace(toy_use_case, slices=(Slice("segment"), Slice("age", edges=(40,))))


@pytest.fixture
def profiles(sliced, toy_columns):
    columns, answers = toy_columns(600)
    whole = build_reference_profile(sliced, columns, answers)
    return arrange_profiles([*whole, *build_slice_profiles(sliced, whole, columns, answers, columns)])


def as_logged(columns, answers):
    """Columns as a row of the log has them: Python's own values, None for what is missing."""
    cells = {
        name: [None if cell is None or cell != cell else cell for cell in values.tolist()]
        for name, values in columns.items()
    }
    return {**cells, "prediction": answers.tolist(), "channel": ["online"] * len(answers)}


def test_rows_are_counted_by_the_bins_of_the_profile_and_of_its_slices(sliced, profiles, toy_columns):
    columns, answers = toy_columns(300, seed=5)
    binned = ProfileBins(sliced, profiles).count_rows(as_logged(columns, answers))
    assert binned.profile == digest_bins(profiles)
    assert {name for name, _ in binned.counts} == set(profiles)
    assert len(profiles) > 3
    for (name, feature), counts in binned.counts.items():
        profile = profiles[name][feature]
        chosen = profile.group.select(columns[profile.group.feature]) if profile.group else slice(None)
        values = answers if feature == PREDICTION else columns[feature]
        assert counts == profile.count(values[chosen]).tolist()


def test_a_column_that_the_rows_do_not_have_is_missing(sliced, profiles):
    rows = {"channel": ["online"] * 3, "age": [20, 50, None], "prediction": ["yes"] * 3}
    binned = ProfileBins(sliced, profiles).count_rows(rows)
    assert binned.counts["", "spend_per_visit"][-1] == 3
    assert binned.counts["age=< 40", "spend"][-1] == 1
    assert sum(binned.counts["segment=web", "age"]) == 0


def test_a_value_that_is_no_number_counts_as_missing_and_is_no_error(sliced, profiles):
    ages = ["many", None, "20", 2**70, float("nan"), float("inf"), True]
    rows = {"channel": ["online"] * len(ages), "age": ages, "prediction": ["yes"] * len(ages)}
    counts = ProfileBins(sliced, profiles).count_rows(rows).counts
    assert counts["", "age"][-1] == 4
    assert sum(counts["age=< 40", "age"]) == 2


def test_features_that_the_log_does_not_have_are_not_counted(sliced, profiles):
    bins = ProfileBins(
        sliced, {**profiles, "": {**profiles[""], "gone": replace(profiles[""]["age"], feature="gone")}}
    )
    assert "gone" not in {each.feature for each in bins.features}


def test_the_digest_is_of_bins_and_groups_alone(profiles):
    same = {name: {f: replace(p, counts=()) for f, p in some.items()} for name, some in profiles.items()}
    assert digest_bins(same) == digest_bins(dict(reversed(list(same.items()))))
    assert digest_bins(same) == digest_bins(profiles)
    moved = replace(profiles[""]["age"], bins=(1.0,))
    assert digest_bins({**profiles, "": {**profiles[""], "age": moved}}) != digest_bins(profiles)
    assert digest_bins({"": profiles[""]}) != digest_bins(profiles)


def test_a_profile_is_read_once_a_minute_and_told_once_when_there_is_none(
    sliced, profiles, monkeypatch, caplog
):
    now, reads = [0.0], []
    answers = [{}, SchemaMismatch("no column"), profiles, profiles]

    def load(_, __, version):
        reads.append(version)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(prediction_counter, "load_sliced_profiles", load)
    monkeypatch.setattr(prediction_counter, "time", SimpleNamespace(monotonic=lambda: now[0]))
    counter = PredictionCounter(None, sliced)
    rows = {"channel": ["online"], "age": [20], "prediction": ["yes"]}
    for moment, read, counted in (
        (0, 1, False),
        (59, 1, False),
        (61, 2, False),
        (122, 3, True),
        (150, 3, True),
    ):
        now[0] = float(moment)
        assert (counter.count_rows(7, rows) is not None) is counted
        assert len(reads) == read
    counter.forget_profile(7)
    assert counter.count_rows(7, rows) is not None
    assert reads == [7] * 4
    assert len([record for record in caplog.records if "no reference profile" in record.message]) == 1


def test_many_categories_are_counted_in_one_pass(sliced, profiles):
    names = [f"name {n}" for n in range(100_000)]
    rows = {"channel": ["online"] * 100_000, "segment": names, "prediction": ["yes"] * 100_000}
    counts = ProfileBins(sliced, profiles).count_rows(rows).counts
    assert counts["", "segment"][-2] == 100_000
    assert np.sum(counts["segment=web", "age"]) == 0


def test_rows_that_cannot_be_counted_are_told_once_and_hold_up_nothing(sliced, profiles, monkeypatch, caplog):
    monkeypatch.setattr(prediction_counter, "load_sliced_profiles", lambda *_: profiles)
    counter = PredictionCounter(None, sliced)
    unequal = {"channel": ["online"] * 3, "age": [20, 30], "prediction": ["yes"] * 3}
    assert counter.count_rows(1, unequal) is None
    assert counter.count_rows(1, unequal) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "are logged, but not counted for drift: ValueError" in caplog.text
