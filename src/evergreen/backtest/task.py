"""What a replay asks of one use case or simulation: its rows and measures, and apart from them its fits.

All moments are aware UTC. Spans of event times exclude their start and include their end; a start of None is
the beginning. `known_at` is the moment of knowledge: a row counts only if its label was known by then.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeVar

from evergreen.monitoring.governor.inputs import DriftEvidence, QualityPoint

Model = TypeVar("Model")
Model_co = TypeVar("Model_co", covariant=True)
Model_contra = TypeVar("Model_contra", contravariant=True)


class Fits(Protocol[Model_co]):
    """The models of one replay or of several, each fitted once."""

    def fit(
        self, known_at: datetime, start: datetime | None, end: datetime | None
    ) -> tuple[str, Model_co | None, float]:
        """Of the rows known with event times in the span: a text that is equal for two training sets if and
        only if their rows are, their model (None where they are too few), and its processor time in seconds,
        also where it had been fitted before."""


class ReplayTask(Protocol[Model_contra]):
    """The rows and measures of one replay. Every method is a pure function of its arguments, so that results
    may be kept and used again."""

    @property
    def metric(self) -> str:
        """The metric that `measure` returns: the mean of a value per row, such as accuracy or mae."""

    @property
    def less_is_better(self) -> bool:
        """Whether a smaller value of the metric is better."""

    def count_labels(self, known_at: datetime, start: datetime | None = None) -> int:
        """How many labelled rows with an event time after `start` are known."""

    def find_oldest(self, known_at: datetime) -> datetime | None:
        """The event time of the oldest labelled row; None without any."""

    def find_newest(self, known_at: datetime) -> datetime | None:
        """The event time of the newest labelled row; None without any."""

    def find_tail(self, known_at: datetime, share: float) -> datetime | None:
        """The event time after which the newest `share` of the known rows lies; None where the rows are too
        few for a split."""

    def measure(
        self,
        model: Model_contra,
        start: datetime | None,
        end: datetime,
        learned_after: datetime | None = None,
        learned_by: datetime | None = None,
    ) -> QualityPoint | None:
        """The model's quality on the labelled rows with event times in the span whose labels became known
        after `learned_after` and by `learned_by` (None: at any time); None where there are none."""

    def measure_drift(self, model: Model_contra, start: datetime, end: datetime) -> DriftEvidence | None:
        """The drift of the inputs of the span against those that the model was fitted on, of one check
        alone; None where drift is not measured."""

    def judge(
        self,
        candidate: Model_contra,
        champion: Model_contra,
        tail: datetime | None,
        known_at: datetime,
    ) -> bool:
        """Whether the gate promotes the candidate; `tail` is where the rows begin that neither needs to have
        learned from."""
