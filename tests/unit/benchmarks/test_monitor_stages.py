"""The stages of the monitoring benchmark, their figures beside the targets, and the simulated streams."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.monitor.__main__ import parse_arguments
from benchmarks.monitor.stage import build_fields, find_stages
from benchmarks.monitor.stage_false_alarms import find_shift, judge_trifle, run_quiet_stream
from benchmarks.monitor.streams import FEATURES, simulate_stream

from evergreen.monitoring.drift.compare import compare_windows
from evergreen.usecase import DriftPolicy


def test_every_file_of_a_stage_is_one_and_can_be_chosen() -> None:
    stages = find_stages()
    assert "false_alarms" in stages
    assert all(callable(stage.measure) for stage in stages.values())
    arguments = parse_arguments(["--quick", "--only", "false_alarms"])
    assert (arguments.quick, arguments.only) == (True, ["false_alarms"])
    assert arguments.output.name == "monitor-partial.json"
    assert parse_arguments([]).output.name == "monitor.json"
    with pytest.raises(SystemExit):
        parse_arguments(["--only", "nothing"])


def test_numbers_become_fields_with_their_targets_and_the_rest_does_not() -> None:
    measured = {"false_alarm_rate": 0.06, "power_quarter_sigma": 0.95, "told": 3, "flag": True, "more": {}}
    fields = {field.name: field for field in build_fields(measured)}
    assert list(fields) == ["false_alarm_rate", "power_quarter_sigma", "told"]
    assert [field.met for field in fields.values()] == [False, True, None]


def test_a_stream_is_its_reference_until_it_is_shifted() -> None:
    rng = np.random.default_rng(7)
    stream = simulate_stream(rng)
    profiles = stream.reference[""]
    assert len(profiles) == FEATURES
    for name, shares in stream.shares.items():
        assert shares.sum() == pytest.approx(1)
        assert len(shares) == len(profiles[name].counts)
        assert sum(profiles[name].counts) == 20_000
        assert np.abs(shares - np.array(profiles[name].counts) / 20_000).max() < 0.02
    quiet = compare_windows(DriftPolicy(), stream.reference, stream.draw_window(rng, 2_000))
    assert (quiet.rows, quiet.severity) == (2_000, "none")
    moved = stream.shift("number_10", 0.5)
    loud = compare_windows(DriftPolicy(), stream.reference, moved.draw_window(rng, 2_000))
    assert [feature.feature for feature in loud.features if feature.drifted] == ["number_10"]
    assert stream.shift("number_10", 0.0).shares["number_10"] == pytest.approx(stream.shares["number_10"])


def test_a_run_depends_on_its_seed_alone() -> None:
    seed = np.random.SeedSequence(3)
    assert run_quiet_stream(3, seed) == (False, False)
    assert find_shift(3, seed) == find_shift(3, np.random.SeedSequence(3)) <= 3
    assert judge_trifle(seed) is False
