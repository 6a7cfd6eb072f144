"""Reports each broken use case to Airflow, as an import error of this file that names the use case's file and
line."""

from __future__ import annotations

from evergreen.errors import UseCaseError
from evergreen.settings import load_settings
from evergreen.usecases import load_valid_use_cases

_, faults = load_valid_use_cases(load_settings())
if faults:
    raise UseCaseError("\n".join(map(str, faults.values())))
