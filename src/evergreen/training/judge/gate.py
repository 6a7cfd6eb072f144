"""The gate: may this candidate become champion? A verdict with every check, its numbers and its reason.

The gate must not keep the worse of two models in service. Where the candidate surely beats the champion, a
check that is not passed therefore only warns, unless the candidate is worse than the champion in it.
`usecase.Gate` has the rules; what "worse than the champion" means depends on the check:

- baselines: not compared; a candidate that surely beats the champion is an improvement anyway;
- floors: the candidate misses one that the champion reaches;
- calibration: a greater calibration error on the same hold-out;
- slices: a greater difference, or a smaller ratio, between the groups of the same hold-out;
- size: a greater file;
- latency: more than a tenth slower, as two measurements of one model may differ by so much.

A figure that is not defined for a model, such as the precision of a group of which it predicts nobody, counts
as the worst value. Where an evaluation does not have the champion's figure, because an earlier version
recorded it, the check fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.model.judging.verdict import Check, CheckResult, Verdict
from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.judge.leakage import warn_of_leakage
from evergreen.training.judge.slice_figures import SliceFigures
from evergreen.usecase import UseCase

# A model is slower than another if it takes this many times as long.
_SLOWER = 1.1


@dataclass(frozen=True)
class _Case:
    """What all checks need: the evaluation, and whether its candidate surely beats the champion.

    `champion` is its name with the version; None where there is none to compare with.
    """

    use_case: UseCase
    evaluation: Evaluation
    champion: str | None
    surely_better: bool

    def weigh(self, check: Check, otherwise: CheckResult) -> Check:
        """Let a check that does not pass fail or warn: as the gate declares it, else as `otherwise` says."""
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
    """The champion's figure for a limit; not `is_recorded` where the evaluation does not have it."""

    value: float | None = None
    is_recorded: bool = True


_UNKNOWN = _Figure(is_recorded=False)


def judge_candidate(use_case: UseCase, evaluation: Evaluation) -> Verdict:
    """Judge a candidate by its evaluation and the use case's `Gate`.

    All contestants predicted the same hold-out. A figure that could not be measured never passes a limit; a
    replay without requests and groups with too few rows are not checked.
    """
    compared = evaluation.champion is not None
    champion_checks = tuple(_check_champion(use_case, evaluation))
    case = _Case(
        use_case,
        evaluation,
        f"champion v{evaluation.champion_version}" if compared else None,
        compared
        and all(check.passed for check in champion_checks)
        and _is_surely_better(use_case, evaluation),
    )
    leakage = warn_of_leakage(use_case, evaluation)
    checks = (
        *champion_checks,
        *_check_baselines(case),
        *_check_floors(case),
        *_check_calibration(case),
        *_check_slices(case),
        *_check_footprint(case),
        *_check_replay(case),
        *((leakage,) if leakage else ()),
    )
    return Verdict(
        metric=use_case.gate.metric,
        champion_version=evaluation.champion_version if compared else None,
        checks=checks,
    )


def _is_surely_better(use_case: UseCase, evaluation: Evaluation) -> bool:
    """Whether the candidate is better than the champion, on the hold-out and in enough of the resamples.

    The check of the champion asks for the gate's margin. A margin below 0 also passes a model that is a
    little worse, and such a model must not have its other checks turned into warnings.
    """
    gate = use_case.gate
    gain = evaluation.comparison.gains["champion"]
    assert gain is not None
    assert evaluation.champion is not None
    # Evaluations of earlier versions have only the share of resamples in which the margin is reached.
    share = gain.better if gain.better is not None else gain.share if gate.margin >= 0 else 0.0
    value = _compute_gain(gate.metric, evaluation.candidate[gate.metric], evaluation.champion[gate.metric])
    return value > 0 and share >= gate.confidence


def _check_champion(use_case: UseCase, evaluation: Evaluation) -> Iterator[Check]:
    """Better than the champion by the margin, on the hold-out and in enough of the resamples."""
    if evaluation.champion is None:
        return
    gate = use_case.gate
    gain = evaluation.comparison.gains.get("champion")
    remark = evaluation.remark
    name = f"champion v{evaluation.champion_version}"
    check = _check_better(
        use_case, evaluation, "champion", gate.margin, f"{name}'s", f" ({remark})" if remark else ""
    )
    yield check
    if not check.passed:
        return
    if gain is None:
        reason = f"{gate.metric} is not defined in most resamples of this hold-out"
        yield Check("beats champion surely", "failed", None, gate.confidence, reason)
        return
    is_sure = gain.share >= gate.confidence
    outcome = f"it is {_describe_margin(gate.margin)} {name}"
    yield Check(
        "beats champion surely",
        _result(is_sure),
        gain.share,
        gate.confidence,
        f"in {gain.share:.1%} of the resamples {outcome}; asked for are {gate.confidence:.0%}"
        f" (gain {gain.value:+.4f}, 95% interval {gain.low:+.4f} to {gain.high:+.4f})",
    )


def _describe_margin(margin: float) -> str:
    if margin < 0:
        return f"within {-margin:g} of"
    return "better than" if margin == 0 else f"better by {margin:g} than"


def _check_baselines(case: _Case) -> Iterator[Check]:
    """Better than the linear model by its margin, and better than the dummy (the guess)."""
    use_case, evaluation = case.use_case, case.evaluation
    first = case.champion is None
    remark = f" ({evaluation.remark})" if first and evaluation.remark else ""
    margin = use_case.gate.baseline_margin
    linear = _check_better(use_case, evaluation, "linear", margin, "the linear baseline's", remark)
    yield case.weigh(linear, "warning" if first or case.surely_better else "failed")
    guess = _check_better(use_case, evaluation, "dummy", 0.0, "a guess's")
    yield case.weigh(guess, "warning" if case.surely_better else "failed")


def _check_better(
    use_case: UseCase,
    evaluation: Evaluation,
    rival: str,
    margin: float,
    whose: str,
    remark: str = "",
) -> Check:
    """Whether the candidate is better than the rival by that margin; with a margin of 0, strictly better.

    `whose` and `remark` go into the reason, before and after the rival's value.
    """
    metric = use_case.gate.metric
    value, other = evaluation.candidate.get(metric), evaluation.metrics_of(rival).get(metric)
    label = f"beats {rival}"
    if value is None or other is None:
        return Check(label, "failed", value, other, f"{metric} is not defined on this hold-out")
    gain = _compute_gain(metric, value, other)
    is_better = gain > 0 if margin == 0 else gain >= margin
    if margin < 0 and gain <= 0:
        compared = f"is {'' if is_better else 'not '}within {-margin:g} of"
        demand = ""
    else:
        compared = "beats" if is_better else "does not beat"
        demand = f" by {margin:g}" if margin > 0 else ""
    reason = f"{metric} {value:.4f} {compared} {whose} {other:.4f}{demand}{remark}"
    return Check(label, _result(is_better), value, other, reason)


def _compute_gain(metric: str, value: float, other: float) -> float:
    """How much better `value` is than `other`; positive is better for every metric."""
    return other - value if metric in LESS_IS_BETTER else value - other


def _check_floors(case: _Case) -> Iterator[Check]:
    """The declared limits on metrics of the candidate."""
    for floor in case.use_case.gate.floors:
        metric, at_most = floor.metric, floor.metric in LESS_IS_BETTER
        value = case.evaluation.candidate.get(metric)
        check = _check_limit(f"floor of {metric}", metric, value, floor.value, at_most)
        if check.result == "passed" or not case.surely_better:
            yield case.weigh(check, "failed")
            continue
        other = case.evaluation.metrics_of("champion").get(metric)
        champion_passes = other is not None and _is_within(other, floor.value, at_most)
        ending = "is" if champion_passes else "is not either"
        reason = f"{check.reason}; {case.champion}'s {_format_figure(other)} {ending}"
        yield case.weigh(replace(check, reason=reason), "failed" if champion_passes else "warning")


def _check_calibration(case: _Case) -> Iterator[Check]:
    """The declared limit on the calibration error."""
    limit = case.use_case.gate.calibration_error
    if limit is not None and case.use_case.label.classes:
        value = case.evaluation.candidate.get("calibration_error")
        other = _Figure(case.evaluation.metrics_of("champion").get("calibration_error"))
        yield _check_beside_champion(
            case, _check_limit("calibration", "calibration error", value, limit, True), other
        )


def _check_slices(case: _Case) -> Iterator[Check]:
    """The declared limits on how far the groups of a slice may differ."""
    champion_slices = case.evaluation.champion_slices
    # An evaluation made before a slice was declared has fewer.
    for index, (declared, figures) in enumerate(
        zip(case.use_case.slices, case.evaluation.slices, strict=False)
    ):
        metric = figures.metric
        if figures.feature != declared.feature or sum(group.judged for group in figures.groups) < 2:
            continue
        champion_figures = champion_slices[index] if champion_slices else None
        for kind, limit, at_most in (
            ("difference", declared.max_difference, True),
            ("ratio", declared.min_ratio, False),
        ):
            if limit is None:
                continue
            check = _check_limit(
                f"slices of {declared.feature}",
                f"the {kind} of {metric} between the groups of {declared.feature}",
                *(_get_spread(figures, kind), limit, at_most),
            )
            other = _Figure(_get_spread(champion_figures, kind)) if champion_figures else _UNKNOWN
            yield _check_beside_champion(case, check, other, at_most)


def _get_spread(figures: SliceFigures, kind: str) -> float | None:
    """The "difference" or "ratio" of the slice's own metric between its groups."""
    return (figures.difference if kind == "difference" else figures.ratio).get(figures.metric)


def _check_footprint(case: _Case) -> Iterator[Check]:
    """The declared limits on the size of the model's file and on the time of one prediction."""
    gate, footprint = case.use_case.gate, case.evaluation.footprint
    champion = case.evaluation.champion_footprint
    if gate.model_mb is not None:
        other = _Figure(champion.size_bytes / 1e6) if champion else _UNKNOWN
        yield _check_beside_champion(
            case,
            _check_limit("size", "its size in MB", footprint.size_bytes / 1e6, gate.model_mb, True),
            other,
        )
    if gate.latency_ms is not None:
        other = _Figure(champion.latency_ms) if champion else _UNKNOWN
        check = _check_limit(
            "latency", "the time for one row in ms", footprint.latency_ms, gate.latency_ms, True
        )
        yield _check_beside_champion(case, check, other, slack=_SLOWER)


def _check_replay(case: _Case) -> Iterator[Check]:
    """The declared limit on the share of logged requests that would get another answer."""
    replay, limit = case.evaluation.replay, case.use_case.gate.changed
    if replay is None:
        return
    reason = (
        f"{replay.share:.1%} of the last {replay.rows:,} requests get another answer than from"
        f" champion v{replay.champion_version}"
    )
    if limit is None:
        yield Check("replay", "passed", replay.share, None, reason)
        return
    is_within = replay.share <= limit
    reason += f", {'within' if is_within else 'over'} {limit:.1%}"
    yield case.weigh(Check("replay", _result(is_within), replay.share, limit, reason), "failed")


def _check_beside_champion(
    case: _Case, check: Check, champion: _Figure, at_most: bool = True, slack: float = 1.0
) -> Check:
    """Let a broken limit warn if the candidate surely beats the champion and is no worse than it here.

    `slack`: up to so many times the champion's figure counts as no worse, where the champion breaks the limit
    too.
    """
    if check.result == "passed" or not case.surely_better:
        return case.weigh(check, "failed")
    if not champion.is_recorded:
        return case.weigh(
            replace(check, reason=f"{check.reason}; {case.champion}'s was not measured"), "failed"
        )
    own, other = check.candidate, champion.value
    compared = "but no worse than"
    if own is None or other is None:
        worse = other is not None  # a figure that is not defined is the worst
    elif at_most:
        champion_passes = check.wanted is not None and other <= check.wanted
        worse = own > (other if champion_passes else slack * other)
        if own > other:
            compared = f"but no more than {slack:g} times"
    else:
        worse = own < other
    if worse:
        compared = "and worse than"
    reason = f"{check.reason}, {compared} {case.champion}'s {_format_figure(other)}"
    return case.weigh(replace(check, reason=reason), "failed" if worse else "warning")


def _check_limit(name: str, what: str, value: float | None, limit: float, at_most: bool) -> Check:
    """Whether `value` is within the limit; `what` names it in the reason. An undefined value is not."""
    if value is None:
        return Check(name, "failed", None, limit, f"{what} is not defined on this hold-out")
    is_within = _is_within(value, limit, at_most)
    bound = "at most" if at_most else "at least"
    reason = f"{what} {value:.4f} is {'' if is_within else 'not '}{bound} {limit:g}"
    return Check(name, _result(is_within), value, limit, reason)


def _is_within(value: float, limit: float, at_most: bool) -> bool:
    return value <= limit if at_most else value >= limit


def _result(holds: bool) -> CheckResult:
    return "passed" if holds else "failed"


def _format_figure(value: float | None) -> str:
    return "undefined value" if value is None else f"{value:.4f}"
