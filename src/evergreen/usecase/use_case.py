"""One prediction problem: everything that Evergreen needs to know of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from evergreen.errors import UseCaseError
from evergreen.usecase.features import Entity, Feature, FeatureSet, OnDemandFeature
from evergreen.usecase.gate import SLICE_METRICS, SLICES_PREFIX, Approval, Gate, Slice
from evergreen.usecase.names import (
    CATEGORY_CHARACTERS,
    IDENTIFIER_LENGTH,
    KEY_CHARACTERS,
    LABEL,
    PAGE_BYTES,
    RESERVED_COLUMNS,
    RESERVED_VIEWS,
    ROW_BYTES,
    ROW_NUMBER,
    DType,
    Problem,
    Split,
    check_choice,
    check_name,
)
from evergreen.usecase.policies import DriftPolicy, RetrainPolicy, Schedules, Serving
from evergreen.usecase.sources import FileSource
from evergreen.usecase.tuning import Tuning
from evergreen.usecase.views import FeatureView, Label


@dataclass(frozen=True)
class UseCase:
    """One prediction problem: everything Evergreen needs to know, checked when it is made.

    A model is judged on the newest `holdout_share` of the rows (`split="time"`), on that share of each class
    ("stratified") or of the entities ("grouped": no entity is on both sides). With `folds` of 2 or more the
    last two judge on every row: each fold by a model fitted on the others. `approval="manual"`: a person
    lets a version in that passed the gate; after `approval_timeout` without an answer it stays out.
    """

    name: str
    title: str
    meaning: str
    entity: Entity
    views: tuple[FeatureView, ...]
    label: Label
    on_demand: tuple[OnDemandFeature, ...] = ()
    split: Split = "time"
    holdout_share: float = 0.2
    folds: int = 0
    tuning: Tuning = field(default_factory=Tuning)
    gate: Gate = field(default_factory=Gate)
    slices: tuple[Slice, ...] = ()
    approval: Approval = "auto"
    approval_timeout: timedelta = timedelta(days=1)
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    serving: Serving = field(default_factory=Serving)
    schedules: Schedules = field(default_factory=Schedules)
    feature_sets: tuple[FeatureSet, ...] = ()
    model_set: str = ""

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
        self._check_sets()
        self._check_contracts()
        self._check_training()
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

    def _check_sets(self) -> None:
        """Feature sets choose declared features, and the model's set is one of them."""
        for chosen in self.feature_sets:
            for name in chosen.features:
                if name not in self.feature_types:
                    raise UseCaseError(
                        f"feature set {chosen.name!r} of {self.name!r} chooses {name!r},"
                        " which nobody declares",
                        hint=_suggest_name(name, self.feature_types),
                    )
        sets = [chosen.name for chosen in self.feature_sets]
        if len(set(sets)) < len(sets) or (self.model_set and self.model_set not in sets):
            raise UseCaseError(
                f"use case {self.name!r} has the feature sets {', '.join(sets) or 'none'}"
                + (f" and gives the model {self.model_set!r}" if self.model_set else ""),
                hint="name each set once, and one of them in model_set",
            )

    def _check_training(self) -> None:
        """Slices are of features, folds and class weights fit the split and the classes."""
        check_choice(self.split, Split, f"the split of {self.name!r}")
        check_choice(self.approval, Approval, f"the approval of {self.name!r}")
        if not 0.0 < self.holdout_share < 1.0:
            raise UseCaseError(
                f"the holdout_share of {self.name!r} is {self.holdout_share:g}",
                hint="give a share between 0 and 1, such as 0.2",
            )
        for chosen in self.slices:
            dtype = self.feature_types.get(chosen.feature)
            if dtype is None:
                raise UseCaseError(
                    f"a slice of {self.name!r} is of {chosen.feature!r}, which nobody declares",
                    hint=_suggest_name(chosen.feature, self.feature_types),
                )
            if (dtype in ("int", "float")) != bool(chosen.edges):
                raise UseCaseError(
                    f"the slice {chosen.feature!r} of {self.name!r} is a {dtype} "
                    + ("with edges" if chosen.edges else "without edges"),
                    hint="give a number edges=(...) that cut it into groups; a category has its values",
                )
            known = SLICE_METRICS[self.problem]
            if chosen.metric and chosen.metric not in known:
                raise UseCaseError(
                    f"the slice {chosen.feature!r} of {self.name!r} limits {chosen.metric!r}",
                    hint=f"of a {self.problem} problem's groups these are measured: {', '.join(known)}",
                )
        sliced = {f"{SLICES_PREFIX}{chosen.feature}" for chosen in self.slices}
        for name in (*self.gate.hard, *self.gate.warn):
            if name.startswith(SLICES_PREFIX) and name not in sliced:
                raise UseCaseError(
                    f"the gate of {self.name!r} names {name!r}, which has no slice",
                    hint=_suggest_name(name, sliced)
                    if sliced
                    else "declare the slice, or leave the name out",
                )
        if self.folds and (self.folds < 2 or self.split == "time"):
            raise UseCaseError(
                f'use case {self.name!r} has folds={self.folds} with split="{self.split}"',
                hint='declare 2 or more folds, with split="stratified" or "grouped";'
                " rows in the order of time are judged by the newest of them",
            )
        weights = self.tuning.class_weights
        if weights != "none" and not self.label.classes:
            raise UseCaseError(
                f"use case {self.name!r} weighs classes but predicts a number", hint="leave class_weights out"
            )
        if isinstance(weights, tuple) and len(weights) != len(self.label.classes):
            raise UseCaseError(
                f"use case {self.name!r} has {len(weights)} class weights for"
                f" {len(self.label.classes)} classes",
                hint="give one for each class, in their order",
            )

    def _check_contracts(self) -> None:
        """Rules read columns of their own part, references lead to other views, row numbers to files."""
        keys = self.entity.key_names
        views = {view.name for view in self.views}
        for name, part in self.parts.items():
            own = part.feature_names if isinstance(part, FeatureView) else (part.name,)
            known = {*keys, *own}
            for rule in part.contract.rules:
                for column in rule.inputs:
                    if column not in known:
                        raise UseCaseError(
                            f"rule {rule.name!r} of {self.name!r} needs {column!r},"
                            f" which {name} does not have",
                            hint=_suggest_name(column, known),
                        )
            for reference in part.contract.references:
                if reference.view not in views - {name}:
                    raise UseCaseError(
                        f"{name} of {self.name!r} refers to the view {reference.view!r}",
                        hint=f"refer to another one of {', '.join(sorted(views - {name})) or 'its views'}",
                    )
            numbered = any(key.source_column == ROW_NUMBER for key in self.entity.keys)
            if numbered and not isinstance(part.source, FileSource):
                raise UseCaseError(
                    f"{name} of {self.name!r} takes its key from row numbers, but does not read a file",
                    hint="declare a key column that the query returns",
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
    def parts(self) -> dict[str, FeatureView | Label]:
        """What an ingest brings, by name: each view, and the label as "label", as no view is called."""
        return {**{view.name: view for view in self.views}, LABEL: self.label}

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
                    raise UseCaseError(
                        f"on-demand feature {feature.name!r} of {self.name!r} needs {name!r},"
                        " which nobody declares",
                        hint=_suggest_name(name, declared),
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
        """The model's inputs in their fixed order: those of `model_set`, else all with `used_by_model`,
        stored features first."""
        if self.model_set:
            by_name = {f.name: f for f in self._all_features}
            chosen = next(each for each in self.feature_sets if each.name == self.model_set)
            return tuple(by_name[name] for name in chosen.features)
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


def _suggest_name(name: str, known: Mapping[str, object] | set[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else "declare it or rename the parameter"
