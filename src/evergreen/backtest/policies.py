"""The policies of a backtest: as people name them, and as a declaration writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import time, timedelta
from typing import Any

from evergreen.backtest.dates import DAY, format_duration
from evergreen.backtest.engine import build_fixed_policy
from evergreen.backtest.result import PolicyKind
from evergreen.errors import SettingsError
from evergreen.usecase import QuietHours, RetrainPolicy
from evergreen.usecase.names import suggest_name

DEFAULT_BESIDE = ("never", "7d", "30d", "90d", "daily")

_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d|w)")
_EXAMPLES = "declared, default, never, daily, a fixed interval such as 30d, or cooldown=3d,weekly_budget=2"
_FLAGS: Mapping[str, bool] = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True)
class NamedPolicy:
    """A policy with the name that people gave it, a title, and how it came into the backtest."""

    name: str
    title: str
    kind: PolicyKind
    policy: RetrainPolicy

    @property
    def heeds_calendar_only(self) -> bool:
        """Whether nothing that is measured can change its decisions."""
        policy = self.policy
        evidence = policy.on_drift or policy.on_realised_drop or policy.on_estimated_drop or policy.on_growth
        return not evidence and policy.cost is None


def parse_duration(text: str) -> timedelta:
    """A duration such as 30min, 12h, 1d or 2w. Raises SettingsError for anything else and for none at all."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise SettingsError(
            f"{text!r} is not a duration", hint="write a number and its unit: 30min, 12h, 1d or 2w"
        )
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        raise SettingsError(f"{text!r} is too long", hint="36500d are a hundred years") from None


def parse_policy(text: str, declared: RetrainPolicy, every: timedelta) -> NamedPolicy:
    """The policy of that name.

    "declared", "default" (a use case that declares none), "never", "daily" (at every check, where these are
    further apart), a fixed interval such as "30d", or the declared policy with other fields, such as
    "cooldown=3d,weekly_budget=2". Raises SettingsError, and UseCaseError for a value that no policy has.
    """
    name = text.strip()
    if name == "declared":
        return NamedPolicy(name, "as declared", "declared", declared)
    if name == "default":
        return NamedPolicy(name, "Evergreen's default", "given", RetrainPolicy())
    if name == "never":
        return NamedPolicy(name, "never retrain", "never", build_fixed_policy(declared, None))
    if name == "daily":
        step = max(DAY, every)
        title = "retrain every day" if step == DAY else f"retrain at every check ({format_duration(step)})"
        return NamedPolicy(name, title, "daily", build_fixed_policy(declared, step))
    if _DURATION.fullmatch(name.lower()):
        interval = parse_duration(name)
        title = f"retrain every {format_duration(interval)}"
        return NamedPolicy(name, title, "fixed", build_fixed_policy(declared, interval))
    if "=" in name:
        changes = dict(_parse_field(assignment) for assignment in name.split(","))
        return NamedPolicy(name, f"as declared, but {name}", "given", replace(declared, **changes))
    names = ("declared", "default", "never", "daily")
    raise SettingsError(f"there is no policy {name!r}", hint=suggest_name(name, names, f"give {_EXAMPLES}"))


def render_policy(policy: RetrainPolicy) -> str:
    """The line of a use case's declaration that declares a policy."""
    default = RetrainPolicy()
    arguments = [
        f"{field.name}={_render_value(getattr(policy, field.name))}"
        for field in fields(policy)
        if getattr(policy, field.name) != getattr(default, field.name)
    ]
    return f"retrain=RetrainPolicy({', '.join(arguments)}),"


def _parse_field(text: str) -> tuple[str, Any]:
    name, _, value = (side.strip() for side in text.partition("="))
    if name not in _PARSERS:
        hint = suggest_name(name, list(_PARSERS), f"choose from {', '.join(_PARSERS)}")
        raise SettingsError(f"a retrain policy has no {name!r} that can be given here", hint=hint)
    try:
        return name, _PARSERS[name](value)
    except ValueError:
        raise SettingsError(
            f"{name}={value} is not a value of that field", hint="see RetrainPolicy in the documentation"
        ) from None


def _parse_flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(text)
    return _FLAGS[text.lower()]


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.lower() == "none" else parse(text)


def _parse_span(text: str) -> timedelta:
    return timedelta(0) if text == "0" else parse_duration(text)


def _parse_window(text: str) -> Any:
    return text if text in ("all", "since_drift", "validated") else _or_none(parse_duration)(text)


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("on_drift", "on_new_data", "on_realised_drop", "on_estimated_drop"), _parse_flag),
    **dict.fromkeys(("on_growth", "min_drop", "drop_limit", "validation_share"), float),
    **dict.fromkeys(("min_sample", "breaches", "min_new_labels"), int),
    **dict.fromkeys(("cooldown", "backoff", "backoff_limit"), _parse_span),
    "horizon": parse_duration,
    "every": _or_none(parse_duration),
    "cost": _or_none(float),
    "weekly_budget": _or_none(int),
    "window": _parse_window,
}


def _render_value(value: Any) -> str:
    if isinstance(value, timedelta):
        return _render_duration(value)
    if isinstance(value, tuple):
        items = ", ".join(map(_render_value, value))
        return f"({items}{',' if len(value) == 1 else ''})"
    if isinstance(value, QuietHours):
        arguments = (f"{field.name}={_render_value(getattr(value, field.name))}" for field in fields(value))
        return f"QuietHours({', '.join(arguments)})"
    if isinstance(value, time):
        return f"time({value.hour}{f', {value.minute}' if value.minute else ''})"
    return repr(value) if not isinstance(value, str) else f'"{value}"'


def _render_duration(value: timedelta) -> str:
    units = {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    if value.seconds % 3_600 == 0 and not value.microseconds:
        units = {"days": value.days, "hours": value.seconds // 3_600}
    text = ", ".join(f"{name}={number}" for name, number in units.items() if number)
    return f"timedelta({text or 0})"
