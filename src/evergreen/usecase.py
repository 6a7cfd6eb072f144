"""The vocabulary: what a use case declares, as small frozen dataclasses.

Everything Evergreen builds for a use case (tables, DAGs, request schema, checks, drift, load test)
follows from one `UseCase`. Standard library only, so that DAG files and the command line load it fast.
All datetimes are time-zone aware UTC.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from evergreen.errors import UseCaseError

DType = Literal["int", "float", "category", "text"]
Problem = Literal["binary", "multiclass", "regression"]
Split = Literal["time", "stratified"]

NAME = re.compile(r"^[a-z][a-z0-9_]{0,47}$")

# Rows of a source without an event-time column are true "always": they carry this event time.
TIMELESS = datetime(1970, 1, 1, tzinfo=UTC)

# What a stored value may hold at most: a category's and a text key's characters, a text's UTF-8 bytes.
CATEGORY_CHARACTERS = 255
KEY_CHARACTERS = 191
TEXT_BYTES = 65_535
# What a row's declared values may take of MariaDB's 65,535 bytes and of half an InnoDB page (8,126 bytes).
ROW_BYTES = 65_300
PAGE_BYTES = 7_700

EVENT_TIME = "event_time"

# Columns and tables that Evergreen adds itself; MariaDB's identifiers have 64 characters at most.
RESERVED_COLUMNS = frozenset(
    (
        *(EVENT_TIME, "ingested_at", "row_start", "row_end", "prediction_id", "predicted_at"),
        *("model_version", "channel", "prediction", "probability", "probabilities", "actual", "actual_at"),
    )
)
RESERVED_VIEWS = frozenset(("label", "prediction"))
IDENTIFIER_LENGTH = 64


def check_name(name: str, what: str) -> str:
    """Return `name` if it may become an SQL identifier, a DAG id and a field; raise UseCaseError if not."""
    if not NAME.match(name):
        raise UseCaseError(
            f"{what} {name!r} is not a valid name",
            hint="use lower-case letters, digits and _, starting with a letter, 48 characters at most",
        )
    return name


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
        return self.column or self.name


@dataclass(frozen=True)
class Entity:
    """What a row is about, and the column(s) that identify it."""

    name: str
    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        check_name(self.name, "entity")
        if not self.keys:
            raise UseCaseError(f"entity {self.name!r} has no key", hint="declare at least one Key")

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True)
class Feature:
    """A stored feature: its type, one-line meaning and domain.

    `max_null_share` 0 means a value is required, in the source and in a request. `used_by_model=False`
    keeps a column that only feeds on-demand features. `column` is the name in the source, if it differs.
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

    @property
    def source_column(self) -> str:
        return self.column or self.name

    @property
    def nullable(self) -> bool:
        return self.max_null_share > 0

    @property
    def numeric(self) -> bool:
        return self.dtype in ("int", "float")


@dataclass(frozen=True)
class OnDemandFeature:
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
    def name(self) -> str:
        return self.function.__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)

    @property
    def meaning(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def numeric(self) -> bool:
        return self.dtype in ("int", "float")


@dataclass(frozen=True)
class FileSource:
    """A CSV or Parquet file. The setting EVERGREEN_SOURCES overrides `path` by use case.

    A relative `path` starts at the folder that holds `.evergreen/`.
    """

    path: str
    delimiter: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True)
class SqlSource:
    """A query on a foreign database reached through an Airflow Connection.

    The query receives `:start` (exclusive) and `:end` (inclusive), naive UTC datetimes, and must filter on
    the time at which the SOURCE recorded a row, so that a row that arrives late is never missed. Intervals
    overlap by a day, for rows whose transaction ended after they were stamped.
    """

    connection: str
    query: str


Source = FileSource | SqlSource


@dataclass(frozen=True)
class FeatureView:
    """A group of features from one source. Without `event_time` (a source column) rows are timeless."""

    name: str
    source: Source
    features: tuple[Feature, ...]
    meaning: str
    event_time: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "feature view")

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True)
class Label:
    """The target. `classes` in order (the last is the positive one of a binary problem); none = regression.

    A label that is true at its event time is known `delay` later.
    """

    name: str
    source: Source
    meaning: str
    classes: tuple[str, ...] = ()
    event_time: str | None = None
    delay: timedelta = timedelta(0)
    column: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "label")
        if len(self.classes) == 1:
            raise UseCaseError(
                f"label {self.name!r} has one class only",
                hint="name two or more classes, or none for regression",
            )

    @property
    def source_column(self) -> str:
        return self.column or self.name

    @property
    def problem(self) -> Problem:
        if not self.classes:
            return "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"


@dataclass(frozen=True)
class Tuning:
    """The search space (inclusive ranges) and its budget; the search stops at whichever budget ends first."""

    trials: int = 8
    seconds: float = 120.0
    depth: tuple[int, int] = (4, 8)
    l2_leaf_reg: tuple[float, float] = (1.0, 10.0)
    learning_rate: tuple[float, float] = (0.03, 0.3)
    iterations: int = 400
    early_stopping_rounds: int = 30
    seed: int = 7


@dataclass(frozen=True)
class Gate:
    """What a candidate must pass: beat the champion (or, if none, the baseline) on `metric` by `margin`,
    and reach `floor` if one is set. Where less is better (log_loss, rmse, mae) that is heeded.

    `baseline_margin` takes the place of `margin` against the baseline; a negative one allows a first model
    that a small hold-out puts a little behind it by chance.
    """

    metric: str = "accuracy"
    margin: float = 0.0
    baseline_margin: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class DriftPolicy:
    """Drift is found when at least `min_features` features have a PSI of `psi_threshold` or more.

    PSI over `bins` reference quantiles; 0.1 is commonly read as a small shift and 0.25 as a major one
    (Siddiqi, Credit Risk Scorecards, 2006). Fewer than `min_rows` predictions in the window: no verdict.
    """

    psi_threshold: float = 0.25
    min_features: int = 2
    min_rows: int = 500
    window: timedelta = timedelta(days=7)
    bins: int = 10


@dataclass(frozen=True)
class RetrainPolicy:
    """When to retrain, on how much history, and how long to leave a fresh champion alone."""

    on_drift: bool = True
    on_new_data: bool = False
    cooldown: timedelta = timedelta(0)
    window: timedelta | None = None


@dataclass(frozen=True)
class Serving:
    """The service's preferred port, and how long the prediction log is kept."""

    port: int = 3000
    max_batch: int = 10_000
    retention: timedelta = timedelta(days=90)


@dataclass(frozen=True)
class Schedules:
    """Cron expressions or Airflow presets; None means on request only."""

    ingest: str | None = "@daily"
    monitor: str | None = "@daily"
    score: str | None = None


@dataclass(frozen=True)
class UseCase:
    """One prediction problem: everything Evergreen needs to know, checked when it is made."""

    name: str
    title: str
    meaning: str
    entity: Entity
    views: tuple[FeatureView, ...]
    label: Label
    on_demand: tuple[OnDemandFeature, ...] = ()
    split: Split = "time"
    holdout_share: float = 0.2
    tuning: Tuning = field(default_factory=Tuning)
    gate: Gate = field(default_factory=Gate)
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    serving: Serving = field(default_factory=Serving)
    schedules: Schedules = field(default_factory=Schedules)

    def __post_init__(self) -> None:
        check_name(self.name, "use case")
        if not self.views:
            raise UseCaseError(f"use case {self.name!r} has no feature view", hint="declare one")
        names = [
            *self.entity.key_names,
            *(feature.name for feature in self.stored_features),
            *(feature.name for feature in self.on_demand),
            self.label.name,
        ]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UseCaseError(
                f"use case {self.name!r} declares {', '.join(twice)} more than once",
                hint="keys, features and the label share one namespace: rename one of them",
            )
        self._check_tables(names)
        self._check_row()
        if not self.model_features:
            raise UseCaseError(
                f"use case {self.name!r} gives the model no feature",
                hint="declare at least one feature with used_by_model=True",
            )
        self.on_demand_order  # noqa: B018  raises on cycles and unknown inputs
        timed = [view.name for view in self.views if view.event_time is not None]
        if timed and self.label.event_time is None:
            raise UseCaseError(
                f"use case {self.name!r} has the timed view {timed[0]!r} but a label without event_time:"
                " no row of it would ever be known when the label was true",
                hint="declare the label's event_time, or leave out the view's",
            )
        inputs = len(self.model_features)
        if self.drift.min_features > max(inputs, DriftPolicy.min_features):
            raise UseCaseError(
                f"use case {self.name!r} finds drift in {self.drift.min_features} features at least,"
                f" but its model has {inputs}",
                hint=f"declare drift=DriftPolicy(min_features={inputs}) or less",
            )

    def _check_tables(self, names: list[str]) -> None:
        """Nothing declared may take the place of a column or table that Evergreen adds itself."""
        taken = sorted(set(names) & RESERVED_COLUMNS)
        if taken:
            raise UseCaseError(
                f"use case {self.name!r} uses the reserved name {', '.join(taken)}",
                hint="give the feature another name and say the source's in column=...",
            )
        views = [view.name for view in self.views]
        wrong = sorted({view for view in views if view in RESERVED_VIEWS or views.count(view) > 1})
        if wrong:
            raise UseCaseError(
                f"use case {self.name!r} names a feature view {', '.join(wrong)} twice or against the rules",
                hint=f"name each view once, and none {' or '.join(sorted(RESERVED_VIEWS))}",
            )
        for table in (*map(self.online_table, self.views), self.prediction_table):
            if len(table) > IDENTIFIER_LENGTH:
                raise UseCaseError(
                    f"the table name {table!r} is longer than {IDENTIFIER_LENGTH} characters",
                    hint="shorten the names of the use case or its feature view",
                )

    def _check_row(self) -> None:
        """The prediction log keeps all keys and stored features in one row, which MariaDB limits twice: by
        the greatest size of all values but texts, and by what of each value must lie in InnoDB's page."""
        numbers = sum(feature.numeric for feature in self.stored_features)
        strings = len(self.stored_features) - numbers
        categories = sum(feature.dtype == "category" for feature in self.stored_features)
        categories += 2 * bool(self.label.classes)  # prediction and actual
        text_keys = sum(key.dtype == "text" for key in self.entity.keys)
        row = 8 * numbers + (4 * CATEGORY_CHARACTERS + 2) * categories + (4 * KEY_CHARACTERS + 2) * text_keys
        page = 8 * numbers + 21 * strings
        if row > ROW_BYTES or page > PAGE_BYTES:
            raise UseCaseError(
                f"use case {self.name!r} has more stored features than a row of MariaDB holds:"
                f" {numbers} numbers and {strings} categories or texts",
                hint="about 60 categories or 950 numbers fit: leave out what the model needs least",
            )

    @property
    def stored_features(self) -> tuple[Feature, ...]:
        return tuple(feature for view in self.views for feature in view.features)

    @cached_property
    def on_demand_order(self) -> tuple[OnDemandFeature, ...]:
        """On-demand features ordered so that each comes after its inputs (Kahn's algorithm).

        Raises UseCaseError on an unknown input, with the nearest known name, or on a cycle.
        """
        known = {f.name for f in self.stored_features}
        waiting = list(self.on_demand)
        declared = known | {f.name for f in waiting}
        for feature in waiting:
            for name in feature.inputs:
                if name not in declared:
                    import difflib

                    near = difflib.get_close_matches(name, declared, n=1)
                    raise UseCaseError(
                        f"on-demand feature {feature.name!r} of {self.name!r} needs {name!r},"
                        " which nobody declares",
                        hint=f"did you mean {near[0]!r}?" if near else "declare it or rename the parameter",
                    )
        ordered: list[OnDemandFeature] = []
        while waiting:
            ready = [f for f in waiting if set(f.inputs) <= known]
            if not ready:
                raise UseCaseError(
                    f"on-demand features {', '.join(f.name for f in waiting)} of {self.name!r}"
                    " need each other",
                    hint="break the cycle: each must end in stored features",
                )
            ordered += ready
            known |= {f.name for f in ready}
            waiting = [f for f in waiting if f not in ready]
        return tuple(ordered)

    @property
    def model_features(self) -> tuple[Feature | OnDemandFeature, ...]:
        """The model's inputs in their fixed order: stored features first, then on-demand ones."""
        return tuple(f for f in self._all_features if f.used_by_model)

    @property
    def feature_types(self) -> Mapping[str, DType]:
        """Every feature's dtype by name, stored and on-demand."""
        return {f.name: f.dtype for f in self._all_features}

    @property
    def _all_features(self) -> tuple[Feature | OnDemandFeature, ...]:
        return (*self.stored_features, *self.on_demand_order)

    @property
    def problem(self) -> Problem:
        return self.label.problem

    def view(self, name: str) -> FeatureView:
        """The feature view of that name; raises UseCaseError with the known names."""
        for view in self.views:
            if view.name == name:
                return view
        raise UseCaseError(
            f"use case {self.name!r} has no feature view {name!r}",
            hint=f"it has {', '.join(view.name for view in self.views)}",
        )

    # Names derived from the declaration, each in one place.
    def history_table(self, view: FeatureView) -> str:
        return f"{self.name}__{view.name}"

    def online_table(self, view: FeatureView) -> str:
        return f"{self.name}__{view.name}__online"

    @property
    def label_table(self) -> str:
        return f"{self.name}__label"

    @property
    def prediction_table(self) -> str:
        return f"{self.name}__prediction"

    def dag_id(self, verb: str) -> str:
        return f"{self.name}__{verb}"
