"""A feature's domain applied to one value, and the words for each check that a value may break.

A domain is a minimum and maximum or a set of allowed values, and whether a value is required. Ingests, scored
files (`domains`, for whole columns) and the prediction service use these words, so that the same value is
described alike everywhere. Standard library only, because the service checks each request with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evergreen.usecase import Feature

NO_VALUE = "has no value"
_MAX_NAMED = 8


def describe_below_minimum(minimum: float) -> str:
    """The check that a number under its feature's minimum breaks."""
    return f"is less than {minimum:g}"


def describe_above_maximum(maximum: float) -> str:
    """The check that a number over its feature's maximum breaks."""
    return f"is more than {maximum:g}"


def describe_not_allowed(allowed: tuple[str, ...]) -> str:
    """The check that a text breaks which is not one of `allowed`; at most eight of them are named."""
    rest = f" and {len(allowed) - _MAX_NAMED} more" if len(allowed) > _MAX_NAMED else ""
    return f"is not one of {', '.join(allowed[:_MAX_NAMED])}{rest}"


def describe_too_long(characters: int) -> str:
    """The check that a text of more than that many characters breaks."""
    return f"is longer than {characters} characters"


def find_broken_check(feature: Feature, value: float | str | None) -> str:
    """The check of the feature's domain that a value of its type breaks; "" for none."""
    if value is None or value != value:
        return "" if feature.nullable else NO_VALUE
    if isinstance(value, str):
        return (
            describe_not_allowed(feature.allowed) if feature.allowed and value not in feature.allowed else ""
        )
    if feature.minimum is not None and value < feature.minimum:
        return describe_below_minimum(feature.minimum)
    if feature.maximum is not None and value > feature.maximum:
        return describe_above_maximum(feature.maximum)
    return ""


def is_refused(features: Iterable[Feature], row: Mapping[str, float | str | None]) -> bool:
    """Whether the row breaks the domain of a feature with severity "error". Values have their feature's type;
    one that the row lacks is missing."""
    return any(feature.strict and find_broken_check(feature, row.get(feature.name)) for feature in features)


def list_domain_warnings(
    features: Iterable[Feature], row: Mapping[str, float | str | None]
) -> list[dict[str, str]]:
    """{"field", "reason"} for each of the features whose value in the row breaks its domain or is missing."""
    checks = ((feature.name, find_broken_check(feature, row.get(feature.name))) for feature in features)
    return [{"field": name, "reason": check} for name, check in checks if check]
