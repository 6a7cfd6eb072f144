"""What a policy's replay was worth: its answers to all requests, measured as the gate measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from evergreen.backtest.engine import ReplayResult, ReplayStep
from evergreen.backtest.fits.cache import KeptFits
from evergreen.backtest.past.requests import Requests
from evergreen.backtest.past.row_metric import RowMetric
from evergreen.backtest.policies import NamedPolicy, render_policy
from evergreen.backtest.result import DecisionLine, PolicyOutcome
from evergreen.model.judging.weighted import build_metric_function
from evergreen.model.predictions import Predictions

_MOST_PERIODS = 60
# Weights that are computed at once.
_CHUNK_CELLS = 4_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Periods:
    """Stretches of time for curves: their beginnings, the requests in each, and of each request its
    period's number."""

    starts: tuple[datetime, ...]
    rows: tuple[int, ...]
    codes: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Judged:
    """A policy's outcome, and the value of each request in the metric of rows, to compare policies by."""

    outcome: PolicyOutcome
    values: Floats


def build_periods(requests: Requests, start: datetime, moments: Sequence[datetime]) -> Periods:
    """At most 60 periods of whole checks."""
    size = math.ceil(len(moments) / _MOST_PERIODS)
    starts = (start, *moments[size - 1 : -1 : size])
    ends = (*starts[1:], moments[-1])
    first = requests.find_span(start, moments[-1]).start
    stops = [requests.find_span(start, end).stop - first for end in ends]
    rows = np.diff([0, *stops])
    codes = np.repeat(np.arange(len(starts)), rows).astype(np.intp)
    return Periods(starts, tuple(int(count) for count in rows), codes)


def judge_policy(
    policy: NamedPolicy,
    replayed: ReplayResult,
    cache: KeptFits,
    requests: Requests,
    metric: RowMetric,
    start: datetime,
    periods: Periods,
) -> Judged:
    """Measure a replay's answers over the whole time and in each period."""
    end = replayed.steps[-1].as_of
    span = requests.find_span(start, end)
    scores = _answer_requests(replayed, cache, requests, start, end)
    values = metric.compute(requests.truth[span], scores)
    whole, curves = _measure(requests, span, scores, periods)
    name = requests.rows.use_case.gate.metric
    outcome = PolicyOutcome(
        name=policy.name,
        title=policy.title,
        kind=policy.kind,
        declaration=render_policy(policy.policy),
        value=whole.get(name, math.nan),
        metrics=whole,
        gain=None,
        retrains=sum(retrain.promoted for retrain in replayed.retrains),
        fits=replayed.distinct_fits,
        cpu_seconds=round(replayed.cpu_seconds, 3),
        curve=tuple(curves[name]),
        retrained_at=tuple(retrain.as_of for retrain in replayed.retrains),
        decisions=_list_decisions(replayed),
    )
    return Judged(outcome, values)


def add_gain(
    outcome: PolicyOutcome, never: float | None, best: float | None, *, less_is_better: bool
) -> PolicyOutcome:
    """The outcome with its gain between never retraining (0) and retraining at every check (1); without one
    where the latter is not better than the former."""
    if never is None or best is None:
        return outcome
    sign = -1.0 if less_is_better else 1.0
    whole = sign * (best - never)
    if not whole > 0.0:  # also where one is undefined
        return outcome
    return replace(outcome, gain=sign * (outcome.value - never) / whole + 0.0)  # 0.0, not -0.0


def _answer_requests(
    replayed: ReplayResult,
    cache: KeptFits,
    requests: Requests,
    start: datetime,
    end: datetime,
) -> Predictions:
    """Each request answered by the champion of its time."""
    champions = [
        (start, None),
        *((each.as_of, each.window.start) for each in replayed.retrains if each.promoted),
    ]
    ends = [moment for moment, _ in champions[1:]] + [end]
    predicted_spans = []
    for (begin, window), until in zip(champions, ends, strict=True):
        span = requests.find_span(begin, until)
        if span.start < span.stop:
            _, model, _ = cache.fit(begin, window, None)
            assert model is not None
            predicted_spans.append(model.predict(span))
    probabilities = [
        predictions.probabilities for predictions in predicted_spans if predictions.probabilities is not None
    ]
    return Predictions(
        np.concatenate([predictions.predictions for predictions in predicted_spans]),
        np.concatenate(probabilities) if probabilities else None,
        requests.rows.use_case.label.classes,
    )


def _measure(
    requests: Requests, span: slice, scores: Predictions, periods: Periods
) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """Every metric over all requests, those that are defined; and in each period, None where undefined."""
    count = len(periods.starts)
    measure = build_metric_function(
        requests.rows.use_case, requests.truth[span], scores, periods.codes, count
    )
    total = measure(np.ones((1, count), dtype=np.int32))
    with_rows = np.flatnonzero(periods.rows)
    curves: dict[str, list[float | None]] = {name: [None] * count for name in total}
    step = max(1, _CHUNK_CELLS // max(1, len(periods.codes)))
    for first in range(0, len(with_rows), step):
        group = with_rows[first : first + step]
        weights = np.zeros((len(group), count), dtype=np.int32)
        weights[np.arange(len(group)), group] = 1
        for name, values in measure(weights).items():
            for period, value in zip(group, values, strict=True):
                curves[name][period] = _round(float(value))
    whole = {name: float(values[0]) for name, values in total.items() if math.isfinite(float(values[0]))}
    return whole, curves


def _list_decisions(replayed: ReplayResult) -> tuple[DecisionLine, ...]:
    retrains = {retrain.as_of: retrain for retrain in replayed.retrains}

    def describe(step: ReplayStep) -> DecisionLine:
        retrain = retrains.get(step.as_of)
        start = retrain.window.start if retrain is not None else None
        return DecisionLine(
            moment=step.as_of,
            retrain=step.answer.retrain,
            trigger=step.answer.trigger if step.answer.retrain else "",
            reason=step.answer.reason,
            window_days=None if start is None else round((step.as_of - start).total_seconds() / 86_400, 3),
            rows=retrain.rows if retrain is not None else None,
        )

    return tuple(describe(step) for step in replayed.steps)


def _round(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
