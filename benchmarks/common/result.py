"""What was measured, beside what must be reached."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "out"


@dataclass(frozen=True)
class Field:
    """One figure, judged if it has a `target`: at least, or at most, that. `part` tells cold from warm.

    NaN was not measured, and is not judged; `meaning` says why. Infinity was never reached.
    """

    name: str
    value: float
    meaning: str
    target: float | None = None
    at_most: bool = False
    part: str = ""
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        if self.target is None or math.isnan(self.value):
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def row(self) -> tuple[str, str, str, str, str]:
        target = "" if self.target is None else f"{'<=' if self.at_most else '>='} {self.target:g}"
        aim = f" (aim {self.aim:g})" if self.aim is not None else ""
        verdict = {True: "pass", False: "FAIL", None: ""}[self.met]
        name = f"{self.name} {self.part}".strip()
        return name, _short(self.value), target + aim, verdict, self.meaning


def table(fields: list[Field]) -> str:
    """The figures as lines to read."""
    rows = [("field", "measured", "must reach", "", "what it is"), *(field.row() for field in fields)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    a, b, c, d = widths
    return "\n".join(
        f"{name:<{a}}  {value:>{b}}  {target:<{c}}  {verdict:<{d}}  {meaning}"
        for name, value, target, verdict, meaning in rows
    )


def as_json(fields: list[Field], **more: Any) -> dict[str, Any]:
    """Each field's value under its name (by part where it has parts), its targets, verdicts and meanings.

    What is not a number or not finite is None, also in `more`: JSON has no word for it.
    """
    values: dict[str, Any] = {}
    targets: dict[str, Any] = {}
    met: dict[str, Any] = {}
    for field in fields:
        entries: list[tuple[dict[str, Any], Any]] = [
            (values, round(field.value, 4) if math.isfinite(field.value) else None)
        ]
        if field.target is not None:
            entries.append((targets, {"at_most" if field.at_most else "at_least": field.target}))
        if field.met is not None:
            entries.append((met, field.met))
        for into, value in entries:
            if field.part:
                into.setdefault(field.name, {})[field.part] = value
            else:
                into[field.name] = value
    told = {f"{field.name} {field.part}".strip(): field.meaning for field in fields}
    return {**values, "targets": targets, "met": met, "meanings": told, "machine": machine(), **_known(more)}


def merge(before: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    """The result of a run of a part, and what it did not measure as an earlier run left it."""
    parts = ("targets", "met", "meanings", "measured")
    return {**before, **partial, **{name: {**before.get(name, {}), **partial[name]} for name in parts}}


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "skipped" if math.isnan(value) else "never"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
