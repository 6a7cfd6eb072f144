"""The gate: may this candidate become champion? A verdict with every check, its numbers and its reason.

It must not keep the worse of two models in service. So what a check that is not passed leads to depends on
who is in service; `usecase.Gate` has the rules, and this module what "worse than the champion" means:

- baselines: not compared, for whoever surely beats the champion leaves service better than it is;
- floors: the candidate misses one that the champion reaches;
- calibration: a greater calibration error on the same hold-out;
- slices: a greater difference, or a smaller ratio, between the groups of the same hold-out;
- size: a greater file;
- latency: more than a tenth slower, as two measurements of one model may differ by so much.

What is not defined for a model, such as the precision of a group of which it predicts nobody, is its worst
value. A figure of the champion's that an evaluation does not have, as one recorded by an earlier version,
excuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.model.judging.verdict import Check, CheckResult, Verdict
from evergreen.training.judge.leakage import warn_of_leakage
from evergreen.usecase import UseCase

# A model is slower than another if it takes this many times as long.
_SLOWER = 1.1


@dataclass(frozen=True)
class _Comparison:
    """What is judged: an evaluation, and whether its candidate surely beats the champion.

    `champion` is its name with the version; None where nobody was compared.
    """

    use_case: UseCase
    evaluation: Mapping[str, Any]
    champion: str | None
    surely_better: bool

    @property
    def first(self) -> bool:
        return self.champion is None

    def weigh(self, check: Check, otherwise: CheckResult) -> Check:
        """A check that does not pass fails or warns: as the gate declares it, else as `otherwise` says."""
        if check.result == "passed":
            return check
        declared = self.use_case.gate.strictness_of(check.name)
        if declared is None:
            return replace(check, result=otherwise)
        result: CheckResult = "failed" if declared == "hard" else "warning"
        remark = "" if result == otherwise else f" (declared in {declared})"
        return replace(check, result=result, reason=check.reason + remark)


@dataclass(frozen=True)
class _Figure:
    """The champion's figure for a limit; `known` is False where the evaluation does not have it."""

    value: float | None = None
    known: bool = True


_UNKNOWN = _Figure(known=False)


def judge_candidate(use_case: UseCase, evaluation: Mapping[str, Any]) -> Verdict:
    """Judge a candidate by its evaluation (see `training/judge/evaluation.py`); `Gate` says what is asked.

    All contestants answered the same hold-out. What could not be measured never passes a limit; a replay
    without requests and groups without enough rows have nothing to judge, and pass.
    """
    compared = evaluation["champion"] is not None
    duel = tuple(_check_champion(use_case, evaluation))
    comparison = _Comparison(
        use_case,
        evaluation,
        f"champion v{evaluation['champion_version']}" if compared else None,
        compared and all(check.passed for check in duel) and _is_surely_better(use_case, evaluation),
    )
    leakage = warn_of_leakage(use_case, evaluation)
    checks = (
        *duel,
        *_check_baselines(comparison),
        *_check_floors(comparison),
        *_check_calibration(comparison),
        *_check_slices(comparison),
        *_check_footprint(comparison),
        *_check_replay(comparison),
        *((leakage,) if leakage else ()),
    )
    return Verdict(
        metric=use_case.gate.metric,
        champion_version=evaluation["champion_version"] if compared else None,
        checks=checks,
    )


def _is_surely_better(use_case: UseCase, evaluation: Mapping[str, Any]) -> bool:
    """Whether the candidate is better than the champion, here and in `confidence` of the resamples.

    The check of the champion asks for the gate's margin. Below 0 that margin lets a model in that is a little
    worse, which must not excuse what else it lacks.
    """
    gate = use_case.gate
    gain = evaluation["gains"]["champion"]
    # Evaluations of before this was counted have the share of resamples with the margin alone.
    share = gain.get("better", gain["share"] if gate.margin >= 0 else 0.0)
    value = _compute_gain(
        gate.metric, evaluation["candidate"][gate.metric], evaluation["champion"][gate.metric]
    )
    return value > 0 and share >= gate.confidence


def _check_champion(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    if evaluation["champion"] is None:
        return
    gate = use_case.gate
    gain = evaluation["gains"].get("champion")
    remark = evaluation["remark"]
    name = f"champion v{evaluation['champion_version']}"
    check = _check_better(
        use_case, evaluation, "champion", gate.margin, f"{name}'s", f" ({remark})" if remark else ""
    )
    yield check
    if not check.passed:
        return
    if gain is None:
        told = f"{gate.metric} is not defined in most resamples of this hold-out"
        yield Check("beats champion surely", "failed", None, gate.confidence, told)
        return
    won = gain["share"] >= gate.confidence
    what = f"it is {_describe_margin(gate.margin)} {name}"
    yield Check(
        "beats champion surely",
        _result(won),
        gain["share"],
        gate.confidence,
        f"in {gain['share']:.1%} of the resamples {what}; asked for are {gate.confidence:.0%}"
        f" (gain {gain['value']:+.4f}, 95% interval {gain['low']:+.4f} to {gain['high']:+.4f})",
    )


def _describe_margin(margin: float) -> str:
    if margin < 0:
        return f"within {-margin:g} of"
    return "better than" if margin == 0 else f"better by {margin:g} than"


def _check_baselines(comparison: _Comparison) -> Iterator[Check]:
    use_case, evaluation = comparison.use_case, comparison.evaluation
    alone = comparison.first and evaluation["remark"]
    remark = f" ({evaluation['remark']})" if alone else ""
    margin = use_case.gate.baseline_margin
    linear = _check_better(use_case, evaluation, "linear", margin, "the linear baseline's", remark)
    yield comparison.weigh(linear, "warning" if comparison.first or comparison.surely_better else "failed")
    guess = _check_better(use_case, evaluation, "dummy", 0.0, "a guess's")
    yield comparison.weigh(guess, "warning" if comparison.surely_better else "failed")


def _check_better(
    use_case: UseCase,
    evaluation: Mapping[str, Any],
    rival: str,
    margin: float,
    whose: str,
    remark: str = "",
) -> Check:
    """Whether the candidate is better by that margin; without one, strictly better."""
    metric = use_case.gate.metric
    value, other = evaluation["candidate"].get(metric), evaluation[rival].get(metric)
    label = f"beats {rival}"
    if value is None or other is None:
        return Check(label, "failed", value, other, f"{metric} is not defined on this hold-out")
    gain = _compute_gain(metric, value, other)
    passed = gain > 0 if margin == 0 else gain >= margin
    if margin < 0 and gain <= 0:
        compared = f"is {'' if passed else 'not '}within {-margin:g} of"
        demand = ""
    else:
        compared = "beats" if passed else "does not beat"
        demand = f" by {margin:g}" if margin > 0 else ""
    reason = f"{metric} {value:.4f} {compared} {whose} {other:.4f}{demand}{remark}"
    return Check(label, _result(passed), value, other, reason)


def _compute_gain(metric: str, value: float, other: float) -> float:
    return other - value if metric in LESS_IS_BETTER else value - other


def _check_floors(comparison: _Comparison) -> Iterator[Check]:
    for floor in comparison.use_case.gate.floors:
        metric, at_most = floor.metric, floor.metric in LESS_IS_BETTER
        value = comparison.evaluation["candidate"].get(metric)
        check = _check_limit(f"floor of {metric}", metric, value, floor.value, at_most)
        if check.result == "passed" or not comparison.surely_better:
            yield comparison.weigh(check, "failed")
            continue
        other = comparison.evaluation["champion"].get(metric)
        reached = other is not None and _is_within(other, floor.value, at_most)
        told = (
            f"{check.reason}; {comparison.champion}'s {_number(other)} {'is' if reached else 'is not either'}"
        )
        yield comparison.weigh(replace(check, reason=told), "failed" if reached else "warning")


def _check_calibration(comparison: _Comparison) -> Iterator[Check]:
    limit = comparison.use_case.gate.calibration_error
    if limit is not None and comparison.use_case.label.classes:
        what = "calibration_error"
        value = comparison.evaluation["candidate"].get(what)
        other = _Figure((comparison.evaluation["champion"] or {}).get(what))
        yield _check_beside_champion(
            comparison, _check_limit("calibration", "calibration error", value, limit, True), other
        )


def _check_slices(comparison: _Comparison) -> Iterator[Check]:
    champions = comparison.evaluation.get("champion_slices")
    for place, declared in enumerate(comparison.use_case.slices[: len(comparison.evaluation["slices"])]):
        measured = comparison.evaluation["slices"][place]
        metric = measured["metric"]
        if measured["feature"] != declared.feature or sum(g["judged"] for g in measured["groups"]) < 2:
            continue
        for kind, limit, at_most in (
            ("difference", declared.max_difference, True),
            ("ratio", declared.min_ratio, False),
        ):
            if limit is None:
                continue
            check = _check_limit(
                f"slices of {declared.feature}",
                f"the {kind} of {metric} between the groups of {declared.feature}",
                *(measured[kind].get(metric), limit, at_most),
            )
            other = _Figure(champions[place][kind].get(metric)) if champions else _UNKNOWN
            yield _check_beside_champion(comparison, check, other, at_most)


def _check_footprint(comparison: _Comparison) -> Iterator[Check]:
    gate, own = comparison.use_case.gate, comparison.evaluation
    champions = own.get("champion_footprint")
    if gate.model_mb is not None:
        other = _Figure(champions["size_bytes"] / 1e6) if champions else _UNKNOWN
        yield _check_beside_champion(
            comparison,
            _check_limit("size", "its size in MB", own["size_bytes"] / 1e6, gate.model_mb, True),
            other,
        )
    if gate.latency_ms is not None:
        other = _Figure(champions["latency_ms"]) if champions else _UNKNOWN
        check = _check_limit(
            "latency", "the time for one row in ms", own["latency_ms"], gate.latency_ms, True
        )
        yield _check_beside_champion(comparison, check, other, slack=_SLOWER)


def _check_replay(comparison: _Comparison) -> Iterator[Check]:
    replayed, limit = comparison.evaluation["replay"], comparison.use_case.gate.changed
    if replayed is None:
        return
    told = (
        f"{replayed['share']:.1%} of the last {replayed['rows']:,} requests get another answer than from"
        f" champion v{replayed['champion_version']}"
    )
    if limit is None:
        yield Check("replay", "passed", replayed["share"], None, told)
        return
    passed = replayed["share"] <= limit
    told += f", {'within' if passed else 'over'} {limit:.1%}"
    yield comparison.weigh(Check("replay", _result(passed), replayed["share"], limit, told), "failed")


def _check_beside_champion(
    comparison: _Comparison, check: Check, champion: _Figure, at_most: bool = True, slack: float = 1.0
) -> Check:
    """A limit that is broken warns beside a champion that is surely beaten and breaks it no less.

    `slack`: how many times the champion's figure is not worse yet, where the champion breaks the limit too.
    """
    if check.result == "passed" or not comparison.surely_better:
        return comparison.weigh(check, "failed")
    if not champion.known:
        return comparison.weigh(
            replace(check, reason=f"{check.reason}; {comparison.champion}'s was not measured"), "failed"
        )
    own, other = check.candidate, champion.value
    compared = "but no worse than"
    if own is None or other is None:
        worse = other is not None  # a figure that is not defined is the worst
    elif at_most:
        keeps = check.wanted is not None and other <= check.wanted
        worse = own > (other if keeps else slack * other)
        if own > other:
            compared = f"but no more than {slack:g} times"
    else:
        worse = own < other
    if worse:
        compared = "and worse than"
    told = f"{check.reason}, {compared} {comparison.champion}'s {_number(other)}"
    return comparison.weigh(replace(check, reason=told), "failed" if worse else "warning")


def _check_limit(name: str, what: str, value: float | None, limit: float, at_most: bool) -> Check:
    if value is None:
        return Check(name, "failed", None, limit, f"{what} is not defined on this hold-out")
    passed = _is_within(value, limit, at_most)
    bound = "at most" if at_most else "at least"
    reason = f"{what} {value:.4f} is {'' if passed else 'not '}{bound} {limit:g}"
    return Check(name, _result(passed), value, limit, reason)


def _is_within(value: float, limit: float, at_most: bool) -> bool:
    return value <= limit if at_most else value >= limit


def _result(passed: bool) -> CheckResult:
    return "passed" if passed else "failed"


def _number(value: float | None) -> str:
    return "undefined value" if value is None else f"{value:.4f}"
