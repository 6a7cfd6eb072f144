"""The gate: may this candidate become champion? A verdict with every check, its numbers and its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.training.metrics import LESS_IS_BETTER
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class Check:
    """One comparison: `candidate` against `wanted` (None where a number is not defined)."""

    name: str
    passed: bool
    candidate: float | None
    wanted: float | None
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be promoted, and why. `champion_version` is whom it was compared with."""

    passed: bool
    metric: str
    champion_version: int | None
    checks: tuple[Check, ...]

    @property
    def summary(self) -> str:
        """In one sentence: the reasons that decided, all of the first three when it passed, the failed ones
        when not."""
        if self.passed:
            return "passed: " + "; ".join(check.reason for check in self.checks[:3])
        return "rejected: " + "; ".join(check.reason for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "checks": [asdict(check) for check in self.checks], "summary": self.summary}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(
            passed=data["passed"],
            metric=data["metric"],
            champion_version=data["champion_version"],
            checks=tuple(Check(**check) for check in data["checks"]),
        )


def judge(use_case: UseCase, evaluation: Mapping[str, Any]) -> Verdict:
    """Judge a candidate by its evaluation (see `training/evaluation.py`); `Gate` says what is asked.

    All contestants answered the same hold-out. What could not be measured never passes a limit; a replay
    without requests and groups without enough rows have nothing to judge, and pass.
    """
    compared = evaluation["champion"] is not None
    checks = (
        *_champion(use_case, evaluation),
        *_baselines(use_case, evaluation),
        *_floors(use_case, evaluation),
        *_calibration(use_case, evaluation),
        *_slices(use_case, evaluation),
        *_footprint(use_case, evaluation),
        *_replay(use_case, evaluation),
    )
    return Verdict(
        passed=all(check.passed for check in checks),
        metric=use_case.gate.metric,
        champion_version=evaluation["champion_version"] if compared else None,
        checks=checks,
    )


def _champion(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    if evaluation["champion"] is None:
        return
    gate = use_case.gate
    gain = evaluation["gains"].get("champion")
    remark = evaluation["remark"]
    name = f"champion v{evaluation['champion_version']}"
    check = _beats(
        use_case, evaluation, "champion", gate.margin, f"{name}'s", f" ({remark})" if remark else ""
    )
    yield check
    if not check.passed:
        return
    if gain is None:
        told = f"{gate.metric} is not defined in most resamples of this hold-out"
        yield Check("beats champion surely", False, None, gate.confidence, told)
        return
    won = gain["share"] >= gate.confidence
    what = f"it is {_distance(gate.margin)} {name}"
    yield Check(
        "beats champion surely",
        won,
        gain["share"],
        gate.confidence,
        f"in {gain['share']:.1%} of the resamples {what}; asked for are {gate.confidence:.0%}"
        f" (gain {gain['value']:+.4f}, 95% interval {gain['low']:+.4f} to {gain['high']:+.4f})",
    )


def _distance(margin: float) -> str:
    if margin < 0:
        return f"within {-margin:g} of"
    return "better than" if margin == 0 else f"better by {margin:g} than"


def _baselines(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    margin = use_case.gate.baseline_margin
    alone = evaluation["champion"] is None and evaluation["remark"]
    remark = f" ({evaluation['remark']})" if alone else ""
    yield _beats(use_case, evaluation, "linear", margin, "the linear baseline's", remark)
    yield _beats(use_case, evaluation, "dummy", 0.0, "a guess's")


def _beats(
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
        return Check(label, False, value, other, f"{metric} is not defined on this hold-out")
    gain = other - value if metric in LESS_IS_BETTER else value - other
    passed = gain > 0 if margin == 0 else gain >= margin
    if margin < 0 and gain <= 0:
        compared = f"is {'' if passed else 'not '}within {-margin:g} of"
        demand = ""
    else:
        compared = "beats" if passed else "does not beat"
        demand = f" by {margin:g}" if margin > 0 else ""
    return Check(
        label, passed, value, other, f"{metric} {value:.4f} {compared} {whose} {other:.4f}{demand}{remark}"
    )


def _floors(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    for floor in use_case.gate.floors:
        value = evaluation["candidate"].get(floor.metric)
        yield _limit(
            f"floor of {floor.metric}", floor.metric, value, floor.value, floor.metric in LESS_IS_BETTER
        )


def _calibration(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    limit = use_case.gate.calibration_error
    if limit is not None and use_case.label.classes:
        value = evaluation["candidate"].get("calibration_error")
        yield _limit("calibration", "calibration error", value, limit, True)


def _slices(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    for declared, measured in zip(use_case.slices, evaluation["slices"], strict=False):
        metric = measured["metric"]
        if measured["feature"] != declared.feature or sum(g["judged"] for g in measured["groups"]) < 2:
            continue
        for kind, limit, at_most in (
            ("difference", declared.max_difference, True),
            ("ratio", declared.min_ratio, False),
        ):
            if limit is not None:
                value = measured[kind].get(metric)
                yield _limit(
                    f"slices of {declared.feature}",
                    f"the {kind} of {metric} between the groups of {declared.feature}",
                    *(value, limit, at_most),
                )


def _footprint(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    gate = use_case.gate
    if gate.model_mb is not None:
        yield _limit("size", "its size in MB", evaluation["size_bytes"] / 1e6, gate.model_mb, True)
    if gate.latency_ms is not None:
        value = evaluation["latency_ms"]
        yield _limit("latency", "the time for one row in ms", value, gate.latency_ms, True)


def _replay(use_case: UseCase, evaluation: Mapping[str, Any]) -> Iterator[Check]:
    replayed, limit = evaluation["replay"], use_case.gate.changed
    if replayed is None:
        return
    told = (
        f"{replayed['share']:.1%} of the last {replayed['rows']:,} requests get another answer than from"
        f" champion v{replayed['champion_version']}"
    )
    if limit is None:
        yield Check("replay", True, replayed["share"], None, told)
        return
    passed = replayed["share"] <= limit
    yield Check(
        "replay", passed, replayed["share"], limit, f"{told}, {'within' if passed else 'over'} {limit:.1%}"
    )


def _limit(name: str, what: str, value: float | None, limit: float, at_most: bool) -> Check:
    if value is None:
        return Check(name, False, None, limit, f"{what} is not defined on this hold-out")
    passed = value <= limit if at_most else value >= limit
    bound = "at most" if at_most else "at least"
    return Check(
        name, passed, value, limit, f"{what} {value:.4f} is {'' if passed else 'not '}{bound} {limit:g}"
    )
