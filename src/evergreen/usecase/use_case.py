"""The declaration of one prediction problem, `UseCase`, and the names and orders that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from evergreen.errors import UseCaseError
from evergreen.usecase.checks import (
    DECLARE_OR_RENAME,
    check_contracts,
    check_feature_sets,
    check_names,
    check_row_size,
    check_slices,
)
from evergreen.usecase.features import Entity, Feature, FeatureSet, OnDemandFeature
from evergreen.usecase.gate import Approval, Gate, Slice
from evergreen.usecase.names import LABEL, DType, Problem, Split, check_choice, check_name, suggest_name
from evergreen.usecase.policies import DriftPolicy, RetrainPolicy, Schedules, Serving
from evergreen.usecase.trial import Trial
from evergreen.usecase.tuning import Tuning
from evergreen.usecase.views import FeatureView, Label


@dataclass(frozen=True)
class UseCase:
    """The declaration of one prediction problem. Raises UseCaseError when it is made with a fault.

    A model is judged on the newest `holdout_share` of the rows (`split="time"`), on that share of each class
    ("stratified") or of the entities ("grouped": no entity is on both sides). With `folds` of 2 or more the
    last two judge on every row: each fold by a model fitted on the others. With `approval="manual"` a version
    that passed the gate becomes champion only when a person approves it; without an answer it is not promoted
    after `approval_timeout`. `model_set` names the feature set that the model is given; "" for all features
    with `used_by_model`. `trial` is how versions are tried in service when somebody starts a trial; None for
    the defaults of `Trial`.
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
    trial: Trial | None = None

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
        tables = [*map(self.online_table, self.views), self.prediction_table]
        check_names(self.name, names, self.views, tables)
        check_row_size(self.name, self.entity, (*self.stored_features, *self.on_demand), self.label)
        check_feature_sets(self.name, self.feature_sets, self.model_set, self.feature_types)
        check_contracts(self.name, self.entity, self.parts)
        self._check_training()
        self._check_model_inputs()
        timed_views = [view.name for view in self.views if view.event_time is not None]
        if timed_views and self.label.event_time is None:
            raise UseCaseError(
                f"use case {self.name!r} has the timed view {timed_views[0]!r} but a label without"
                " event_time: no row of it would ever be known when the label was true",
                hint="declare the label's event_time, or leave out the view's",
            )

    @property
    def parts(self) -> dict[str, FeatureView | Label]:
        """The parts of an ingest by name: each view, and the label as "label", a name that no view may
        have."""
        return {**{view.name: view for view in self.views}, LABEL: self.label}

    @property
    def stored_features(self) -> tuple[Feature, ...]:
        """The features of all views, in their order."""
        return tuple(feature for view in self.views for feature in view.features)

    @cached_property
    def on_demand_order(self) -> tuple[OnDemandFeature, ...]:
        """On-demand features ordered so that each comes after its inputs (Kahn's algorithm).

        Raises UseCaseError on an unknown input, with the nearest known name, or on a cycle.
        """
        available = {stored.name for stored in self.stored_features}
        pending = list(self.on_demand)
        declared = available | {on_demand.name for on_demand in pending}
        for feature in pending:
            for name in feature.inputs:
                if name not in declared:
                    raise UseCaseError(
                        f"on-demand feature {feature.name!r} of {self.name!r} needs {name!r},"
                        " which nobody declares",
                        hint=suggest_name(name, declared, DECLARE_OR_RENAME),
                    )
        order: list[OnDemandFeature] = []
        while pending:
            ready = [f for f in pending if set(f.inputs) <= available]
            if not ready:
                raise UseCaseError(
                    f"on-demand features {', '.join(f.name for f in pending)} of {self.name!r}"
                    " need each other",
                    hint="break the cycle: each must end in stored features",
                )
            order += ready
            available |= {f.name for f in ready}
            pending = [f for f in pending if f not in ready]
        return tuple(order)

    @property
    def model_features(self) -> tuple[Feature | OnDemandFeature, ...]:
        """The model's inputs in their fixed order: those of `model_set`, else all with `used_by_model`,
        stored features first."""
        if self.model_set:
            by_name = {feature.name: feature for feature in self._all_features}
            feature_set = next(
                candidate for candidate in self.feature_sets if candidate.name == self.model_set
            )
            return tuple(by_name[name] for name in feature_set.features)
        return tuple(feature for feature in self._all_features if feature.used_by_model)

    @property
    def feature_types(self) -> Mapping[str, DType]:
        """Every feature's dtype by name, stored and on-demand."""
        return {feature.name: feature.dtype for feature in self._all_features}

    @property
    def _all_features(self) -> tuple[Feature | OnDemandFeature, ...]:
        return (*self.stored_features, *self.on_demand_order)

    @property
    def problem(self) -> Problem:
        """The kind of prediction, which follows from the label's classes."""
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

    def history_table(self, view: FeatureView) -> str:
        """The table of a view's rows of all times."""
        return f"{self.name}__{view.name}"

    def online_table(self, view: FeatureView) -> str:
        """The table of a view's latest row per key, from which the service reads."""
        return f"{self.name}__{view.name}__online"

    @property
    def label_table(self) -> str:
        """The table of the labels."""
        return f"{self.name}__label"

    @property
    def prediction_table(self) -> str:
        """The table of the prediction log."""
        return f"{self.name}__prediction"

    @property
    def outcome_table(self) -> str:
        """The table of what really happened after predictions."""
        return f"{self.name}__outcome"

    def dag_id(self, verb: str) -> str:
        """The id of the use case's DAG for a verb such as "train"."""
        return f"{self.name}__{verb}"

    def _check_training(self) -> None:
        """Split, folds and class weights fit each other and the classes."""
        check_choice(self.split, Split, f"the split of {self.name!r}")
        check_choice(self.approval, Approval, f"the approval of {self.name!r}")
        if not 0.0 < self.holdout_share < 1.0:
            raise UseCaseError(
                f"the holdout_share of {self.name!r} is {self.holdout_share:g}",
                hint="give a share between 0 and 1, such as 0.2",
            )
        check_slices(self.name, self.slices, self.gate, self.feature_types, self.problem)
        if self.folds and (self.folds < 2 or self.split == "time"):
            raise UseCaseError(
                f'use case {self.name!r} has folds={self.folds} with split="{self.split}"',
                hint='declare 2 or more folds, with split="stratified" or "grouped";'
                " rows in the order of time are judged by the newest of them",
            )
        weights = self.tuning.class_weights
        if weights != "none" and not self.label.classes:
            raise UseCaseError(
                f"use case {self.name!r} weighs classes but predicts a number",
                hint="leave class_weights out",
            )
        if isinstance(weights, tuple) and len(weights) != len(self.label.classes):
            raise UseCaseError(
                f"use case {self.name!r} has {len(weights)} class weights for"
                f" {len(self.label.classes)} classes",
                hint="give one for each class, in their order",
            )

    def _check_model_inputs(self) -> None:
        """The model has inputs, and drift needs no more features than there are."""
        if not self.model_features:
            raise UseCaseError(
                f"use case {self.name!r} gives the model no feature",
                hint="declare at least one feature with used_by_model=True",
            )
        inputs = len(self.model_features)
        if self.drift.min_features > max(inputs, DriftPolicy.min_features):
            raise UseCaseError(
                f"use case {self.name!r} finds drift in {self.drift.min_features} features at least,"
                f" but its model has {inputs}",
                hint=f"declare drift=DriftPolicy(min_features={inputs}) or less",
            )
