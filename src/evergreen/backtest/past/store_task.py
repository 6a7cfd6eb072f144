"""The past of a use case, as the replay engine asks for it: see `ReplayTask`."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from evergreen.backtest.dates import to_moment
from evergreen.backtest.past.drift import measure_past_drift
from evergreen.backtest.past.model import PastModel
from evergreen.backtest.past.requests import Requests
from evergreen.backtest.past.row_metric import RowMetric
from evergreen.model.reference_profile import PREDICTION
from evergreen.monitoring.governor.inputs import DriftEvidence, QualityPoint
from evergreen.store.history.asof import to_microseconds
from evergreen.training.data.split import MINIMUM_ROWS
from evergreen.usecase import EVENT_TIME

_MOST_TAIL_ROWS = 2_000


class StoreTask:
    """Replays the rows of a labelled history: each row stands for a request at its event time.

    `every` is the time between checks. Without `with_evidence` nothing is measured between two retrains: a
    policy that heeds the calendar only knows of no change, so its windows and fits depend on the day alone.
    Safe for several threads.
    """

    def __init__(
        self, requests: Requests, metric: RowMetric, every: timedelta, *, with_evidence: bool = True
    ) -> None:
        self._requests, self._rows = requests, requests.rows
        self._metric, self._every = metric, every
        self._with_evidence = with_evidence

    @property
    def metric(self) -> str:
        """See `ReplayTask.metric`."""
        return self._metric.name

    @property
    def less_is_better(self) -> bool:
        """See `ReplayTask.less_is_better`."""
        return self._metric.less_is_better

    def count_labels(self, known_at: datetime, start: datetime | None = None) -> int:
        """See `ReplayTask.count_labels`."""
        return len(self._rows.select_known(known_at, start))

    def find_oldest(self, known_at: datetime) -> datetime | None:
        """See `ReplayTask.find_oldest`."""
        places = self._rows.select_known(known_at)
        return to_moment(self._rows.times[EVENT_TIME][places[0]]) if len(places) else None

    def find_newest(self, known_at: datetime) -> datetime | None:
        """See `ReplayTask.find_newest`."""
        places = self._rows.select_known(known_at)
        return to_moment(self._rows.times[EVENT_TIME][places[-1]]) if len(places) else None

    def find_tail(self, known_at: datetime, share: float) -> datetime | None:
        """See `ReplayTask.find_tail`. It has at most 2,000 rows, beside others of the event time of its
        first, and leaves as many rows in front of it as a model takes."""
        times = self._rows.times[EVENT_TIME][self._rows.select_known(known_at)]
        rows = min(int(share * len(times)), _MOST_TAIL_ROWS)
        if rows < MINIMUM_ROWS:
            return None
        first = int(np.searchsorted(times, times[len(times) - rows]))
        return to_moment(times[first - 1]) if first >= MINIMUM_ROWS else None

    def measure(
        self,
        model: PastModel,
        start: datetime | None,
        end: datetime,
        learned_after: datetime | None = None,
        learned_by: datetime | None = None,
    ) -> QualityPoint | None:
        """See `ReplayTask.measure`. The label is its last version where any time will do, else its first."""
        if learned_after is not None and not self._with_evidence:
            return None
        span = self._requests.find_span(start, end)
        if span.start == span.stop:
            return None
        is_counted = np.ones(span.stop - span.start, dtype=bool)
        known_at = self._requests.label_known_at[span]
        if learned_after is not None:
            is_counted &= known_at > to_microseconds(learned_after)
        if learned_by is not None:
            is_counted &= known_at <= to_microseconds(learned_by)
        places = np.flatnonzero(is_counted)
        if not len(places):
            return None
        # Only the stretch that holds these rows is predicted.
        span = slice(span.start + int(places[0]), span.start + int(places[-1]) + 1)
        places = places - places[0]
        scores, metric = model.predict(span), self._metric
        is_final = learned_after is None and learned_by is None
        label = (self._requests.truth if is_final else self._requests.first_label)[span]
        values = metric.compute(label, scores)[places]
        return QualityPoint(
            start=start or to_moment(self._requests.times[span.start] - 1),
            end=end,
            rows=len(values),
            value=float(values.mean()),
            deviation=float(values.std()),
            expected=float(metric.expect(scores)[places].mean()) if metric.expect is not None else None,
        )

    def measure_drift(self, model: PastModel, start: datetime, end: datetime) -> DriftEvidence | None:
        """See `ReplayTask.measure_drift`."""
        if not self._with_evidence:
            return None
        span = self._requests.find_span(start, end)
        is_known = self._requests.asked_at[span] <= to_microseconds(end)
        columns: dict[str, np.ndarray] = self._rows.take_inputs(self._requests.places[span][is_known])
        columns[PREDICTION] = model.predict(span).predictions[is_known]
        check_number = max(1, (end - model.span[0]) // self._every)
        return measure_past_drift(self._rows.use_case, model.profile, columns, start, check_number)

    def judge(
        self, candidate: PastModel, champion: PastModel, tail: datetime | None, known_at: datetime
    ) -> bool:
        """See `ReplayTask.judge`: every model that was fitted goes into service."""
        return True
