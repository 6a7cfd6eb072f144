"""Feature views and the label: groups of columns from one source, with their event time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from evergreen.errors import UseCaseError
from evergreen.usecase.contract import Contract
from evergreen.usecase.features import Feature
from evergreen.usecase.names import Problem, check_name
from evergreen.usecase.sources import Source


@dataclass(frozen=True)
class FeatureView:
    """A group of features from one source. Without `event_time` (a source column) rows are timeless.

    At moments more than `max_age` after its event time a row's features are missing; None sets no limit.
    """

    name: str
    source: Source
    features: tuple[Feature, ...]
    meaning: str
    event_time: str | None = None
    max_age: timedelta | None = None
    contract: Contract = field(default_factory=Contract)

    def __post_init__(self) -> None:
        check_name(self.name, "feature view")
        if self.max_age is not None and (self.event_time is None or self.max_age <= timedelta(0)):
            raise UseCaseError(
                f"feature view {self.name!r} has max_age {self.max_age}"
                + (" but no event time" if self.event_time is None else ""),
                hint="a max_age is a positive timedelta, and only timed rows have an age",
            )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True)
class Label:
    """The value to predict. `classes` are listed in order, the positive one of a binary problem last; without
    classes it is a number (regression).

    A label that is true at its event time is known `delay` later.
    """

    name: str
    source: Source
    meaning: str
    classes: tuple[str, ...] = ()
    event_time: str | None = None
    delay: timedelta = timedelta(0)
    column: str = ""
    contract: Contract = field(default_factory=Contract)

    def __post_init__(self) -> None:
        check_name(self.name, "label")
        if len(self.classes) == 1:
            raise UseCaseError(
                f"label {self.name!r} has one class only",
                hint="name two or more classes, or none for regression",
            )

    @property
    def source_column(self) -> str:
        """The column's name in the source."""
        return self.column or self.name

    @property
    def problem(self) -> Problem:
        """The kind of prediction that follows from the classes."""
        if not self.classes:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"
