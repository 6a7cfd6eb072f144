"""From rounds to figures: what counts, what is missed, and what is only said not to be measured."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.common.result import as_json, table
from benchmarks.serving import champion
from benchmarks.serving.__main__ import FULL, parse_arguments
from benchmarks.serving.champion import Budget
from benchmarks.serving.load.figures import Figures
from benchmarks.serving.log_check import Arrival
from benchmarks.serving.measure import choose_stages, judge_log
from benchmarks.serving.memory import measure_tree_rss
from benchmarks.serving.outcome import compare, skip
from benchmarks.serving.rounds import Measured
from benchmarks.serving.stages import STAGES
from benchmarks.serving.stages.soak import Soak


def figures(rate: float, *, errors: int = 0, fault: str = "") -> Figures:
    return Figures(rate, 100, errors, 1.0, 2.0, 1000.0 / rate, 9.0, 0.1, fault)


def measured(name: str, *rounds: Figures) -> Measured:
    return Measured(name, list(rounds))


def test_medians_of_the_valid_rounds_are_compared() -> None:
    ours = measured("ours", figures(100), figures(300), figures(9_999, errors=1, fault="503"), figures(200))
    theirs = measured("theirs", figures(50), figures(40), figures(60))
    field = compare("vs", ours, theirs, "how fast", target=4)
    assert (field.value, field.met) == (4.0, True)
    tail = compare("p99", ours, theirs, "how slow", figure="p99", target=0.2, at_most=True)
    assert (tail.value, tail.met) == (pytest.approx(0.25), False)


@pytest.mark.parametrize(("at_most", "value"), [(False, 0.0), (True, math.inf)])
def test_a_service_without_a_valid_round_misses_its_target(at_most: bool, value: float) -> None:
    ours = measured("ours", figures(100, errors=3, fault="503: the queue is full"))
    field = compare("vs", ours, measured("theirs", figures(1)), "how fast", target=4, at_most=at_most)
    assert (field.value, field.met) == (value, False)
    assert "503: the queue is full" in field.meaning


def test_beside_a_rival_without_a_valid_round_nothing_is_judged() -> None:
    theirs = measured("theirs", figures(1, errors=1, fault="500"))
    field = compare("vs", measured("ours", figures(100)), theirs, "how fast", target=4)
    assert math.isnan(field.value)
    assert field.met is None
    assert "500" in field.meaning


def test_what_is_not_measured_has_its_target_and_no_value() -> None:
    told = as_json([skip("shadow_cost", "there are no trials", 0.6)])
    assert told["shadow_cost"] is None
    assert told["met"] == {}
    assert told["targets"] == {"shadow_cost": {"at_least": 0.6}}
    assert "there are no trials" in table([skip("shadow_cost", "there are no trials", 0.6)])


def test_the_log_is_judged_by_its_worst_round() -> None:
    first = Measured("a", [figures(10)], [Arrival(7.0, 700, left=50, lost=0, doubled=0)])
    second = Measured("b", [figures(10)], [Arrival(7.0, 1400, left=300, lost=2, doubled=1)])
    without = Measured("noop", [figures(10, errors=1, fault="broken")])
    by_name = {field.name: field for field in judge_log([first, second, without])}
    assert {name: field.value for name, field in by_name.items()} == {
        "log_lost": 2,
        "log_doubled": 1,
        "spool_left_s": pytest.approx(1.5),
        "invalid_rounds": 1,
    }
    assert all(field.met is False for field in by_name.values())
    assert "2,100 acknowledged in 2 rounds" in by_name["log_lost"].meaning
    assert judge_log([without]) == []


def test_each_figure_of_the_issue_belongs_to_a_stage() -> None:
    names = {name for stage in STAGES for name in stage.gives}
    assert names >= {
        *("vs_textbook", "vs_mlflow", "vs_fastapi_noop", "logging_cost", "p99_vs_noop", "full_service_cost"),
        *("vs_fastapi_noop_1", "vs_fastapi_noop_4", "vs_fastapi_noop_64", "batch_rows_per_s"),
        *("by_key_vs_predict", "shadow_cost", "workers_2_vs_1", "power_level_vs_noop", "rss_growth"),
    }
    assert len(names) == sum(len(stage.gives) for stage in STAGES)


def test_only_chooses_the_stages_of_those_figures_in_their_order() -> None:
    stages = choose_stages(["rss_growth", "vs_fastapi_noop_4", "vs_fastapi_noop"])
    assert [stage.gives[0] for stage in stages] == ["vs_fastapi_noop", "rss_growth"]
    assert choose_stages([]) == list(STAGES)


@pytest.mark.parametrize(
    "words", [["--only", "no_such_figure"], ["--rounds", "0"], ["--seconds", "-1"], ["--soak", "-5"]]
)
def test_senseless_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(words)
    assert words[0] in capsys.readouterr().err


def test_a_part_of_the_run_does_not_take_the_place_of_a_whole_one() -> None:
    assert parse_arguments(["--quick"]).output.name == "serving.json"
    assert parse_arguments(["--only", "vs_mlflow"]).output.name == "serving-partial.json"
    assert parse_arguments(["--only", "vs_mlflow", "--output", "x.json"]).output == Path("x.json")


def test_the_soak_is_asked_for() -> None:
    assert parse_arguments([]).soak == 0
    assert parse_arguments(["--soak"]).soak == 900
    assert FULL.soak_seconds == 0


def test_growth_is_from_a_fifth_of_the_soak_to_its_end() -> None:
    soak = Soak(900.0)
    samples = [(0.0, 10), (100.0, 50), (180.0, 100), (200.0, 102), (239.0, 104), (500.0, 900)]
    samples += [(841.0, 153), (870.0, 153), (899.0, 153)]
    assert soak.compute_growth(samples) == pytest.approx(1.5)


def test_the_memory_of_children_counts() -> None:
    """A process that holds nothing, above one that holds 60 MB."""
    holding = "x = bytearray(b'1' * 60_000_000); print('up', flush=True); input()"
    above = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    process = subprocess.Popen([sys.executable, "-c", above], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert 60e6 < measure_tree_rss(process.pid) < 160e6
    finally:
        process.communicate()
    assert measure_tree_rss(process.pid) == 0


class _Trained:
    """A stand-in for a CatBoost model that a file is written of."""

    def save_model(self, path: str) -> None:
        Path(path).write_text("a model", encoding="utf-8")


def test_a_champion_is_trained_once_for_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[dict[str, int]] = []

    def train(_: object, **budget: int) -> _Trained:
        trainings.append(budget)
        return _Trained()

    class Loaded:
        def load_model(self, path: str) -> str:
            return Path(path).read_text(encoding="utf-8")

    monkeypatch.setattr(champion.decisions, "train_champion", train)
    monkeypatch.setattr(champion.catboost, "CatBoostClassifier", Loaded)
    small = Budget(customers=10, trials=1)
    assert [champion.load_champion(tmp_path, small) for _ in range(2)] == ["a model"] * 2
    assert trainings == [{"customers": 10, "trials": 1}]
    assert champion.load_champion(tmp_path, Budget()) == "a model"
    assert trainings[1:] == [{}]
    for number in range(5):
        champion.load_champion(tmp_path, Budget(trials=number + 2))
    assert len(list(tmp_path.iterdir())) == 3
