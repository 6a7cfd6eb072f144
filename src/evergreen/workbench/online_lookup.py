"""What the online store holds of some keys: the vectors that `/predict_by_key` predicts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict, cast

import sqlalchemy as sa

from evergreen.errors import InvalidRequest, UseCaseError
from evergreen.model.log_rows import list_on_demand_values
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.store.connection.values import KeyTuple
from evergreen.store.online.vectors import OnlineVector, read_online_vectors
from evergreen.store.predictions.prediction_row import InputValue
from evergreen.usecase import Key, UseCase


class OnlineFeaturesBody(TypedDict):
    """`OnlineFeatures` as JSON."""

    key: dict[str, str | int]
    known: bool
    features: dict[str, InputValue]
    stale_views: Sequence[str]
    missing_views: Sequence[str]


@dataclass(frozen=True)
class OnlineFeatures:
    """The features of one key by name, on-demand ones included; `known` is False where no view has the key.

    Of `stale_views` the key's newest row is older than their `max_age`, and `missing_views` have none: their
    features are None.
    """

    key: dict[str, str | int]
    known: bool
    features: dict[str, InputValue]
    stale_views: tuple[str, ...] = ()
    missing_views: tuple[str, ...] = ()

    def to_json(self) -> OnlineFeaturesBody:
        """Every field."""
        return cast("OnlineFeaturesBody", asdict(self))


def parse_key(use_case: UseCase, text: str) -> KeyTuple:
    """A key from `VALUE`, or from `NAME=VALUE,...` in any order where the entity has several keys.

    Raises InvalidRequest naming what is missing or malformed.
    """
    keys = use_case.entity.keys
    hint = f"give {','.join(f'{key.name}=VALUE' for key in keys)}"
    if len(keys) == 1 and not text.startswith(f"{keys[0].name}="):
        return (_parse_value(keys[0], text, hint),)
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if set(parts) != set(use_case.entity.key_names):
        raise InvalidRequest(f"{text!r} is no key of a {use_case.entity.name}", hint=hint)
    return tuple(_parse_value(key, parts[key.name], hint) for key in keys)


def look_up_features(
    engine: sa.Engine, use_case: UseCase, keys: Sequence[KeyTuple], feature_set: str | None = None
) -> list[OnlineFeatures]:
    """The features of each key as the online store has them now, or those of a feature set.

    Raises UseCaseError for an unknown feature set, StoreUnreachable.
    """
    names = _list_names(use_case, feature_set)
    vectors = read_online_vectors(engine, use_case, keys)
    return [_look_up(use_case, key, vectors.get(key), names) for key in keys]


def _look_up(
    use_case: UseCase, key: KeyTuple, vector: OnlineVector | None, names: Sequence[str]
) -> OnlineFeatures:
    by_name = dict(zip(use_case.entity.key_names, key, strict=True))
    if vector is None:
        return OnlineFeatures(by_name, known=False, features={})
    columns = add_on_demand_columns(use_case, build_columns_from_rows(use_case, [vector.features]))
    (computed,) = list_on_demand_values(use_case, columns, 1)
    values = {**vector.features, **computed}
    features = {name: values[name] for name in names}
    return OnlineFeatures(by_name, True, features, vector.stale_views, vector.missing_views)


def _list_names(use_case: UseCase, feature_set: str | None) -> tuple[str, ...]:
    if feature_set is None:
        on_demand = (feature.name for feature in use_case.on_demand_order)
        return (*(feature.name for feature in use_case.stored_features), *on_demand)
    for each in use_case.feature_sets:
        if each.name == feature_set:
            return each.features
    known = ", ".join(each.name for each in use_case.feature_sets) or "none"
    raise UseCaseError(f"{use_case.name} has no feature set {feature_set!r}", hint=f"it declares: {known}")


def _parse_value(key: Key, text: str, hint: str) -> str | int:
    if key.dtype != "int":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest(f"{key.name} is {text!r}, which is no whole number", hint=hint) from None
