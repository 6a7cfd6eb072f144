"""The benchmark of one training times functions by their names: each of them exists."""

from __future__ import annotations

import functools
import importlib

import pytest
from benchmarks.training.once import SEAMS


@pytest.mark.parametrize(("module", "path"), [seam[1:] for seam in SEAMS], ids=lambda part: part)
def test_every_function_that_the_benchmark_times_exists(module: str, path: str) -> None:
    assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))
