"""The replay engine on a small world: one number a day, whose mean jumps; a model is the mean of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from evergreen.backtest.engine import Replay, ReplayResult, build_fixed_policy
from evergreen.backtest.window_fit import FitCache, ReplayFit, find_tail, train_best_window
from evergreen.errors import TrainingError
from evergreen.monitoring.governor.inputs import DriftEvidence, QualityPoint
from evergreen.monitoring.governor.training_window import ALL_ROWS, TrainingWindow, WindowPlan
from evergreen.usecase import RetrainPolicy

DAY = timedelta(days=1)
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
DELAY = 5
NOTHING = build_fixed_policy(RetrainPolicy(), None)


@dataclass(frozen=True)
class Mean:
    value: float
    first: int
    last: int


@dataclass
class SmallWorld:
    """Row number i is true at the end of day i, and its label known `DELAY` days later."""

    values: Sequence[float]
    promotes: bool = True
    drift: Sequence[str] = ()
    metric: str = "mae"
    less_is_better: bool = True

    def __post_init__(self) -> None:
        self.fits: list[tuple[int, int]] = []
        self.latest_known = 0

    def count_labels(self, known_at, start=None):
        return max(0, self._known(known_at) - self._row(start))

    def find_oldest(self, known_at):
        return ORIGIN if self._known(known_at) else None

    def find_newest(self, known_at):
        return ORIGIN + self._known(known_at) * DAY if self._known(known_at) else None

    def find_tail(self, known_at, share):
        rows = int(self._known(known_at) * share)
        return ORIGIN + (self._known(known_at) - rows) * DAY if rows else None

    def identify_rows(self, known_at, start, end):
        return str(self._span(known_at, start, end))

    def fit(self, known_at, start, end):
        first, last = self._span(known_at, start, end)
        self.fits.append((first, last))
        rows = self.values[first:last]
        return Mean(sum(rows) / len(rows), first, last) if rows else None

    def measure(self, model, start, end, learned_after=None, learned_by=None):
        first, last = self._row(start), self._row(end)
        if learned_after is not None:
            first = max(first, self._known(learned_after))
        if learned_by is not None:
            last = min(last, self._known(learned_by))
            self.latest_known = max(self.latest_known, last)
        losses = [abs(value - model.value) for value in self.values[first:last]]
        if not losses:
            return None
        return QualityPoint(
            ORIGIN + first * DAY, ORIGIN + last * DAY, len(losses), sum(losses) / len(losses), 0.1
        )

    def measure_drift(self, model, start, end):
        if not self.drift:
            return None
        severity = self.drift[self._row(end) - 1]
        return DriftEvidence(severity, f"drift is {severity}", rows=100)

    def judge(self, candidate, champion, tail, known_at):
        return self.promotes

    def _known(self, moment):
        return max(0, self._row(moment) - DELAY)

    def _row(self, moment):
        return 0 if moment is None else min(len(self.values), (moment - ORIGIN) // DAY)

    def _span(self, known_at, start, end):
        last = self._known(known_at)
        return self._row(start), last if end is None else min(last, self._row(end))


def replay(world: SmallWorld, policy: RetrainPolicy, first: int = 20, **options: object) -> ReplayResult:
    moments = [ORIGIN + day * DAY for day in range(first + 1, len(world.values) + 1)]
    fits = options.pop("fits", None) or keep_fits(world)
    return Replay(world, fits, policy, moments, ORIGIN + first * DAY, **options).run()


def keep_fits(world: SmallWorld) -> FitCache:
    return FitCache(world.identify_rows, world.fit)


def train(plan: WindowPlan) -> ReplayFit | None:
    world = SmallWorld(JUMP)
    return train_best_window(world, keep_fits(world), ORIGIN + 60 * DAY, plan)


JUMP = [0.0] * 30 + [1.0] * 30
ON_DROP = RetrainPolicy(min_sample=1, drop_limit=5.0, on_growth=0.0, window="since_drift")


def test_never_retraining_keeps_the_first_champion():
    result = replay(SmallWorld(JUMP), NOTHING)
    assert (result.retrains, result.distinct_fits, result.cpu_seconds) == ((), 2, 0)
    assert [step.champion for step in result.steps] == [1] * 40
    assert result.quality == pytest.approx(30 / 40)


def test_a_fixed_interval_retrains_when_it_is_due():
    result = replay(SmallWorld(JUMP), build_fixed_policy(RetrainPolicy(window="all"), 10 * DAY))
    assert [(retrain.as_of - ORIGIN).days for retrain in result.retrains] == [30, 40, 50, 60]
    assert {retrain.trigger for retrain in result.retrains} == {"schedule"}
    assert [step.champion for step in result.steps[9:12]] == [1, 2, 2]


def test_outcomes_count_only_from_the_day_on_which_they_are_known():
    result = replay(SmallWorld(JUMP), ON_DROP)
    # Day 31 is the first with the new mean; its label is known on day 36.
    retrain = result.retrains[0]
    assert ((retrain.as_of - ORIGIN).days, retrain.trigger) == (36, "realised drop")
    assert retrain.window == TrainingWindow("since the drift began", ORIGIN + 30 * DAY)
    assert retrain.rows == 1
    assert len(result.retrains) == 1
    # The champion of day 36 answers from day 37 on.
    assert [step.champion for step in result.steps] == [1] * 16 + [2] * 24
    assert [step.quality.value for step in result.steps] == [0.0] * 10 + [1.0] * 6 + [0.0] * 24


def test_no_step_knows_a_label_before_its_time():
    world = SmallWorld(JUMP)
    moments = [ORIGIN + day * DAY for day in range(21, 61)]
    for step in Replay(world, keep_fits(world), ON_DROP, moments, ORIGIN + 20 * DAY).iterate():
        day = (step.as_of - ORIGIN).days
        assert world.latest_known <= day - DELAY
        assert max(last for _, last in world.fits) <= day - DELAY
        assert step.inputs.labels.known == day - DELAY
        assert step.inputs.labels.newest == ORIGIN + (day - DELAY) * DAY
        assert all(point.end <= step.as_of - DELAY * DAY for point in step.inputs.realised.points)


def test_a_new_champion_is_judged_by_its_own_answers():
    steps = replay(SmallWorld(JUMP), ON_DROP).steps
    points = {(step.as_of - ORIGIN).days: step.inputs.realised.points for step in steps if step.champion == 2}
    assert points[37] == ()
    # Its first answers are those of day 37, known on day 42.
    assert [point.start for point in points[43]] == [ORIGIN + 36 * DAY, ORIGIN + 37 * DAY]


def test_rejected_candidates_back_off_and_leave_the_champion():
    policy = replace(ON_DROP, backoff=3 * DAY, backoff_limit=100 * DAY)
    result = replay(SmallWorld(JUMP, promotes=False), policy)
    assert [(retrain.as_of - ORIGIN).days for retrain in result.retrains] == [36, 39, 45, 57]
    assert not any(retrain.promoted for retrain in result.retrains)
    assert {step.champion for step in result.steps} == {1}
    assert [retrain.outcome for retrain in result.steps[-1].inputs.retrains] == ["rejected"] * 4


def test_growth_retrains_when_rows_since_the_change_have_multiplied():
    policy = replace(ON_DROP, on_growth=3.0, enough_rows=4)
    result = replay(SmallWorld(JUMP), policy)
    assert [(each.trigger, each.rows) for each in result.retrains] == [
        *(("realised drop", 1), ("growth", 3), ("growth", 9)),
    ]
    assert {each.window.start for each in result.retrains} == {ORIGIN + 30 * DAY}


def replay_new_data(promotes=True, **policy):
    world = SmallWorld(JUMP + [1.0] * DELAY, promotes=promotes)
    moments = [ORIGIN + day * DAY for day in (22, 22.5, 23, 25, 25.5, 25.75)]
    declared = replace(NOTHING, on_new_data=True, backoff=timedelta(0), **policy)
    return Replay(world, keep_fits(world), declared, moments, ORIGIN + 20 * DAY).run()


@pytest.mark.parametrize("promotes", [True, False])
def test_new_data_is_what_became_known_since_the_last_retrain(promotes):
    result = replay_new_data(promotes)
    assert [step.inputs.new_rows for step in result.steps] == [True, False, True, True, False, False]
    assert [retrain.trigger for retrain in result.retrains] == ["new data"] * 3


def test_new_data_that_a_no_left_out_are_a_reason_at_the_next_check():
    result = replay_new_data(cooldown=timedelta(days=3, hours=12))
    # Held back on the days 23 and 25; no row comes between the days 25 and 25.5.
    assert [step.inputs.new_rows for step in result.steps] == [True, False, True, True, True, False]
    assert [step.answer.retrain for step in result.steps] == [True, False, False, False, True, False]


def test_drift_counts_its_breaches_and_keeps_its_beginning_over_a_promotion():
    drift = ["none"] * 24 + ["drift"] * 2 + ["unknown"] + ["drift"] * 3 + ["none"] * 30
    policy = RetrainPolicy(
        breaches=2, label_patience=timedelta(0), window="all", on_realised_drop=False, on_growth=0.0
    )
    result = replay(SmallWorld(JUMP, drift=drift), policy, drift_window=DAY)
    by_day = {(step.as_of - ORIGIN).days: step.inputs.drift for step in result.steps}
    assert [by_day[day].breaches for day in range(24, 32)] == [0, 1, 2, 2, 3, 4, 5, 0]
    assert {by_day[day].since for day in range(25, 31)} == {ORIGIN + 24 * DAY}
    assert by_day[31].since is None
    assert [(retrain.as_of - ORIGIN).days for retrain in result.retrains] == [26]


def test_policies_that_share_a_cache_fit_the_same_rows_once():
    world = SmallWorld(JUMP)
    fits = keep_fits(world)
    daily = replay(world, build_fixed_policy(RetrainPolicy(window="all"), DAY), fits=fits)
    count = len(world.fits)
    assert count == len(set(world.fits)) == daily.distinct_fits
    weekly = replay(world, build_fixed_policy(RetrainPolicy(window="all"), 7 * DAY), fits=fits)
    assert len(world.fits) == count
    assert weekly.distinct_fits < daily.distinct_fits


def test_the_same_replay_has_the_same_result():
    first, second = (replay(SmallWorld(JUMP), RetrainPolicy(min_sample=1)) for _ in range(2))
    assert first.steps == second.steps


def test_too_few_rows_for_a_first_champion_are_told():
    with pytest.raises(TrainingError, match="as of 2026-01-05 has too few labelled rows") as refusal:
        replay(SmallWorld(JUMP), NOTHING, first=4)
    assert refusal.value.hint == "let the replay begin later"


def test_the_best_window_is_chosen_on_the_newest_rows_and_fitted_on_all_of_its_own():
    plan = WindowPlan((ALL_ROWS, TrainingWindow("recent", ORIGIN + 30 * DAY)), validation_share=0.2)
    fit = train(plan)
    # 55 rows are known, 25 of them in the smaller window, of which the newest 5 are validated on.
    assert fit.window.name == "recent"
    assert (fit.model, fit.rows) == (Mean(1.0, 30, 55), 25)
    assert (fit.reference.value, fit.reference.rows) == (0.0, 5)
    assert len(fit.identities) == 3


def test_the_tail_is_a_share_of_the_smallest_window():
    plan = WindowPlan((ALL_ROWS, TrainingWindow("ten rows", ORIGIN + 45 * DAY)), validation_share=0.2)
    assert find_tail(SmallWorld(JUMP), ORIGIN + 60 * DAY, plan) == ORIGIN + 53 * DAY
    fixed = WindowPlan(plan.candidates[1:], validation_share=0.2)
    assert find_tail(SmallWorld(JUMP), ORIGIN + 60 * DAY, fixed) == ORIGIN + 53 * DAY


def test_a_window_that_is_too_small_to_split_is_no_candidate():
    for start in (53, 70):
        plan = WindowPlan((ALL_ROWS, TrainingWindow("tiny", ORIGIN + start * DAY)), validation_share=0.2)
        fit = train(plan)
        assert (fit.window, fit.reference.rows) == (ALL_ROWS, 11)


def test_of_the_rows_since_a_change_half_at_most_are_validated_on():
    plan = WindowPlan((ALL_ROWS,), validation_share=0.2, drift_since=ORIGIN + 49 * DAY)
    assert find_tail(SmallWorld(JUMP), ORIGIN + 60 * DAY, plan) == ORIGIN + 52 * DAY
    long_since = replace(plan, drift_since=ORIGIN)
    assert find_tail(SmallWorld(JUMP), ORIGIN + 60 * DAY, long_since) == ORIGIN + 44 * DAY
    # One row since the change cannot be halved.
    just_now = replace(plan, drift_since=ORIGIN + 54 * DAY)
    assert find_tail(SmallWorld(JUMP), ORIGIN + 60 * DAY, just_now) == ORIGIN + 44 * DAY
    assert find_tail(SmallWorld(JUMP), ORIGIN + 5 * DAY, plan) is None
