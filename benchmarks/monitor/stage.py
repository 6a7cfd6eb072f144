"""What a stage of the benchmark is, and which there are: every file stage_*.py of this folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.result import Field
from benchmarks.monitor.targets import TARGETS

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Options:
    """How much a stage does.

    `quick`: a look, which judges nothing. `seed`: of all random numbers. `cores`: processes that may work at
    a time. `folder`: where files of the run may lie; it is removed afterwards. `data`: where public data
    lies, None where it was not given.
    """

    quick: bool
    seed: int
    cores: int
    folder: Path
    data: Path | None = None


@dataclass(frozen=True)
class Skipped(Exception):
    """Raised by a stage that cannot be measured here, with the reason."""

    reason: str


@dataclass(frozen=True)
class Stage:
    """A stage: `measure` returns its figures by name, and whatever else is worth keeping."""

    name: str
    measure: Callable[[Options], Mapping[str, Any]]


def find_stages() -> dict[str, Stage]:
    """Every stage by its name: NAME of stage_NAME.py, which offers `measure(options)`."""
    names = sorted(path.stem.removeprefix("stage_") for path in _FOLDER.glob("stage_*.py"))
    return {
        name: Stage(name, importlib.import_module(f"benchmarks.monitor.stage_{name}").measure)
        for name in names
    }


def build_fields(measured: Mapping[str, Any]) -> list[Field]:
    """The figures among what stages measured, beside their targets where they have one."""
    return [
        Field(
            name,
            float(value),
            TARGETS[name].meaning if name in TARGETS else "",
            TARGETS[name].limit if name in TARGETS else None,
            at_most=name in TARGETS and TARGETS[name].at_most,
        )
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def list_missing_targets(measured: Sequence[str]) -> list[str]:
    """The figures with a target that nothing measured."""
    return [name for name in TARGETS if name not in measured]
