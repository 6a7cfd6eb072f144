"""A feature's domain applied to one value, and the words for what a value breaks.

An ingest, a scored file and the prediction service say the same of the same value. Standard library only: the
service checks each request with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evergreen.usecase import Feature

NO_VALUE = "has no value"
_MAX_NAMED = 8


def describe_below_minimum(minimum: float) -> str:
    """What is said of a number under its feature's minimum."""
    return f"is less than {minimum:g}"


def describe_above_maximum(maximum: float) -> str:
    """What is said of a number over its feature's maximum."""
    return f"is more than {maximum:g}"


def describe_not_allowed(allowed: tuple[str, ...]) -> str:
    """What is said of a text that is none of the allowed ones, of which eight are named."""
    more = f" and {len(allowed) - _MAX_NAMED} more" if len(allowed) > _MAX_NAMED else ""
    return f"is not one of {', '.join(allowed[:_MAX_NAMED])}{more}"


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


def is_refused(features: Iterable[Feature], row: Mapping[str, Any]) -> bool:
    """Whether a value of the row, each of its feature's type, breaks a domain that is a rule."""
    return any(feature.strict and find_broken_check(feature, row.get(feature.name)) for feature in features)


def list_domain_warnings(features: Iterable[Feature], row: Mapping[str, Any]) -> list[dict[str, str]]:
    """{"field", "reason"} for each of the features whose value in the row breaks its domain or is missing."""
    checks = ((feature.name, find_broken_check(feature, row.get(feature.name))) for feature in features)
    return [{"field": name, "reason": check} for name, check in checks if check]
