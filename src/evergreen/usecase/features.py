"""Entities and their keys, features, on-demand features and feature sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.functions import FromFunction
from evergreen.usecase.names import DType, Severity, check_name


@dataclass(frozen=True)
class Key:
    """One key column of an entity. `column` is its name in the sources, if it differs."""

    name: str
    dtype: Literal["int", "text"]
    meaning: str
    column: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "key")

    @property
    def source_column(self) -> str:
        """The column's name in the sources."""
        return self.column or self.name


@dataclass(frozen=True)
class Entity:
    """The thing that a row describes, such as a customer, and the column(s) that identify it."""

    name: str
    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        check_name(self.name, "entity")
        if not self.keys:
            raise UseCaseError(f"entity {self.name!r} has no key", hint="declare at least one Key")

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the keys, in their order."""
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True)
class Feature:
    """A stored feature: its type, one-line meaning and domain.

    With `max_null_share` 0 a value is required, in the source and in a request. An ingest may exceed a share
    above 0 by three standard deviations, which chance explains. `used_by_model=False` declares a column that
    is only an input of on-demand features. `column` is the name in the source, if it differs. With `unique`
    no value may occur in two rows of one ingest.

    With `severity` "error" a value that breaks the domain, the null limit or the uniqueness is refused, in an
    ingest, in a request and in a file to score. With "warning", for a domain that is a guess, as `evergreen
    new` writes it, such a value is loaded or answered, with a warning that names the feature and the check. A
    value of another type is refused in both cases.
    """

    name: str
    dtype: DType
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    max_null_share: float = 0.0
    used_by_model: bool = True
    column: str = ""
    unique: bool = False
    severity: Severity = "error"

    def __post_init__(self) -> None:
        check_name(self.name, "feature")
        if self.dtype not in ("int", "float", "category", "text"):
            raise UseCaseError(
                f"feature {self.name!r} has dtype {self.dtype!r}",
                hint="use one of int, float, category, text",
            )
        if self.allowed and self.numeric:
            raise UseCaseError(
                f"feature {self.name!r} is {self.dtype} but lists allowed values",
                hint="use minimum and maximum for numbers, allowed for categories",
            )
        if not self.numeric and (self.minimum is not None or self.maximum is not None):
            raise UseCaseError(
                f"feature {self.name!r} is {self.dtype} but has a minimum or maximum",
                hint="use minimum and maximum for numbers, allowed for categories",
            )

    @property
    def source_column(self) -> str:
        """The column's name in the source."""
        return self.column or self.name

    @property
    def nullable(self) -> bool:
        """Whether a value may be missing."""
        return self.max_null_share > 0

    @property
    def strict(self) -> bool:
        """Whether a value that breaks the domain or is missing is refused, instead of a warning."""
        return self.severity == "error"

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.dtype in ("int", "float")


@dataclass(frozen=True)
class OnDemandFeature(FromFunction):
    """A feature computed by a named function whose parameters are the features it needs.

    The function takes and returns NumPy arrays of one length (float64 with NaN for missing numbers,
    object arrays of str or None for categories and text), so the same code runs on one request and on a
    million rows. Its name is the feature's name and the first line of its docstring the feature's meaning.
    """

    function: Callable[..., Any]
    dtype: DType = "float"
    used_by_model: bool = True

    def __post_init__(self) -> None:
        check_name(self.name, "on-demand feature")

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.dtype in ("int", "float")


@dataclass(frozen=True)
class FeatureSet:
    """A named selection of features across a use case's views and on-demand features, in this order.

    `UseCase.model_set` names the set that the model is given.
    """

    name: str
    features: tuple[str, ...]
    meaning: str

    def __post_init__(self) -> None:
        check_name(self.name, "feature set")
        repeated_names = sorted({name for name in self.features if self.features.count(name) > 1})
        if repeated_names or not self.features:
            raise UseCaseError(
                f"feature set {self.name!r} "
                + (f"names {', '.join(repeated_names)} twice" if repeated_names else "chooses no feature"),
                hint="name each feature once",
            )
