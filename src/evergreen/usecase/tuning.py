"""The search for a model's parameters: the space, the budget, and the parameters that are not searched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evergreen.errors import UseCaseError
from evergreen.usecase.names import check_choice, suggest_name

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["median", "none"]
WeightRule = Literal["none", "balanced", "sqrt_balanced"]
ClassWeights = WeightRule | tuple[float, ...]

# CatBoost's parameters that may be searched, by the kind of their values.
WHOLE_PARAMETERS = frozenset(
    (
        *("depth", "min_data_in_leaf", "max_leaves", "border_count", "leaf_estimation_iterations"),
        *("one_hot_max_size", "max_ctr_complexity", "fold_permutation_block"),
    )
)
REAL_PARAMETERS = frozenset(
    (
        *("l2_leaf_reg", "learning_rate", "rsm", "random_strength", "bagging_temperature", "subsample"),
        *("model_size_reg", "diffusion_temperature", "model_shrink_rate", "fold_len_multiplier"),
    )
)
NAMED_PARAMETERS = frozenset(("grow_policy", "bootstrap_type", "score_function", "boosting_type", "nan_mode"))
SEARCHABLE_PARAMETERS = WHOLE_PARAMETERS | REAL_PARAMETERS | NAMED_PARAMETERS
# Parameters that follow from the rest of the declaration or from a setting.
FIXED_PARAMETERS = frozenset(
    (
        *("iterations", "loss_function", "eval_metric", "random_seed", "class_weights", "class_names"),
        *("auto_class_weights", "early_stopping_rounds", "od_wait", "thread_count", "task_type", "devices"),
        *("cat_features", "text_features", "ignored_features", "use_best_model", "train_dir"),
    )
)


def _check_parameter(parameter: str) -> None:
    """Raise UseCaseError for a parameter that may not be searched."""
    if parameter in FIXED_PARAMETERS:
        raise UseCaseError(
            f"the search space names {parameter!r}, which is not the search's to choose",
            hint="the use case, its budget or a setting decides it: leave it out",
        )
    if parameter not in SEARCHABLE_PARAMETERS:
        choices = f"choose from {', '.join(sorted(SEARCHABLE_PARAMETERS))}"
        raise UseCaseError(
            f"the search space names {parameter!r}, which is no parameter that may be searched",
            hint=suggest_name(parameter, SEARCHABLE_PARAMETERS, choices),
        )


@dataclass(frozen=True)
class Between:
    """A parameter's values from `low` to `high`, both included, for CatBoost's whole-number parameters whole
    ones. With `log` they are drawn on a logarithmic scale: as many between 1 and 10 as between 10 and 100."""

    parameter: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_parameter(self.parameter)
        if self.parameter in NAMED_PARAMETERS:
            raise UseCaseError(
                f"the search space gives {self.parameter!r} a range, but its values are names",
                hint=f'declare OneOf({self.parameter!r}, ("...", "..."))',
            )
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if not finite or not self.low <= self.high or (self.log and self.low <= 0):
            raise UseCaseError(
                f"the search space's range of {self.parameter!r} is {self.low:g} to {self.high:g}"
                + (" on a logarithmic scale" if self.log else ""),
                hint="let the first end be the smaller one, both finite"
                + (", and above 0" if self.log else ""),
            )
        if self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise UseCaseError(
                f"{self.parameter!r} takes whole numbers, not {self.low:g} to {self.high:g}",
                hint="give whole ends",
            )

    @property
    def whole(self) -> bool:
        """Whether the parameter takes whole numbers."""
        return self.parameter in WHOLE_PARAMETERS

    @property
    def middle(self) -> float | int:
        """The middle on the parameter's scale, where a search begins."""
        midpoint = (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2
        return int(midpoint) if self.whole else float(midpoint)


@dataclass(frozen=True)
class OneOf:
    """A parameter's values, listed."""

    parameter: str
    values: tuple[float | str, ...]

    def __post_init__(self) -> None:
        _check_parameter(self.parameter)
        if not self.values:
            raise UseCaseError(
                f"the search space gives {self.parameter!r} no value",
                hint="name one or more, or leave it out",
            )
        kind_name: str = "numbers"
        kind: type | tuple[type, ...] = (int, float)
        if self.parameter in NAMED_PARAMETERS:
            kind_name, kind = "names", str
        elif self.parameter in WHOLE_PARAMETERS:
            kind_name, kind = "whole numbers", int
        wrong_values = [
            value for value in self.values if not isinstance(value, kind) or isinstance(value, bool)
        ]
        if wrong_values:
            raise UseCaseError(
                f"the search space gives {self.parameter!r} the value {wrong_values[0]!r}",
                hint=f"its values are {kind_name}",
            )

    @property
    def middle(self) -> float | str:
        """The middle one of the list, where a search begins."""
        return self.values[len(self.values) // 2]


SearchSpace = tuple[Between | OneOf, ...]

DEFAULT_SPACE: SearchSpace = (
    Between("depth", 4, 8),
    Between("l2_leaf_reg", 1.0, 10.0, log=True),
    Between("learning_rate", 0.03, 0.3, log=True),
)


@dataclass(frozen=True)
class Tuning:
    """The search over `space`. It ends after `trials` trials or `seconds` of fitting, whichever comes first;
    the seconds are checked between trials.

    `workers` share the trials and run at the same time, as mapped tasks of Airflow, for `seconds` each.
    `pruner="median"` stops a trial whose validation loss is worse than the median of the others at the same
    number of trees. Each fit grows up to `iterations` trees and stops `early_stopping_rounds` after the best
    one. `class_weights` are the weights of a row of each class, in the order of the classes, or a rule that
    derives them from the classes' shares.
    """

    space: SearchSpace = DEFAULT_SPACE
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = 8
    seconds: float = 120.0
    workers: int = 1
    iterations: int = 400
    early_stopping_rounds: int = 30
    class_weights: ClassWeights = "none"
    seed: int = 7

    def __post_init__(self) -> None:
        check_choice(self.sampler, Sampler, "tuning's sampler")
        check_choice(self.pruner, Pruner, "tuning's pruner")
        if not isinstance(self.class_weights, tuple):
            check_choice(self.class_weights, WeightRule, "tuning's class_weights")
        elif not all(weight > 0 and math.isfinite(weight) for weight in self.class_weights):
            raise UseCaseError(
                f"tuning's class_weights are {self.class_weights}", hint="give weights above 0"
            )
        if not self.seconds >= 0:
            raise UseCaseError(f"tuning's seconds are {self.seconds:g}", hint="give 0 or more")
        names = [dimension.parameter for dimension in self.space]
        repeated_names = sorted({name for name in names if names.count(name) > 1})
        if repeated_names:
            raise UseCaseError(
                f"the search space names {', '.join(repeated_names)} more than once",
                hint="leave one of them out",
            )
        if self.sampler == "grid":
            endless = [s.parameter for s in self.space if isinstance(s, Between) and not s.whole]
            if endless:
                raise UseCaseError(
                    f"a grid has no end over the range of {', '.join(endless)}",
                    hint=f"declare OneOf({endless[0]!r}, (...)) with the values to try",
                )
        for name, value, least in (
            ("trials", self.trials, 1),
            ("workers", self.workers, 1),
            ("iterations", self.iterations, 1),
            ("early_stopping_rounds", self.early_stopping_rounds, 1),
        ):
            if value < least:
                raise UseCaseError(f"tuning's {name} is {value}", hint=f"give {least} or more")
