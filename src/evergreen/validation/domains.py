"""What pandera checks: the domain of each column, and the rules across columns of a row.

pandera's checks are called by themselves, on one column each: a schema's own work around them, copies of the
frame and tables of failure cases, would cost several times what they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.errors import UseCaseError
from evergreen.usecase import KEY_CHARACTERS, Feature, Label, Rule
from evergreen.validation.casting import Fault
from evergreen.validation.domain_words import (
    describe_above_maximum,
    describe_below_minimum,
    describe_not_allowed,
)
from evergreen.validation.engine import pandera
from evergreen.validation.part_columns import DeclaredColumn


def build_domain_checks(what: DeclaredColumn) -> list[Any]:
    """The checks that a declaration asks of each value."""
    checks: list[Any] = []
    if isinstance(what, Feature):
        if what.minimum is not None:
            checks.append(pandera.Check.ge(what.minimum, error=describe_below_minimum(what.minimum)))
        if what.maximum is not None:
            checks.append(pandera.Check.le(what.maximum, error=describe_above_maximum(what.maximum)))
        if what.allowed:
            checks.append(pandera.Check.isin(what.allowed, error=describe_not_allowed(what.allowed)))
    elif isinstance(what, Label):
        if what.classes:
            checks.append(pandera.Check.isin(what.classes, error=describe_not_allowed(what.classes)))
    elif what.dtype == "text":
        checks.append(
            pandera.Check.str_length(1, KEY_CHARACTERS, error=f"is longer than {KEY_CHARACTERS} characters")
        )
    return checks


def find_domain_faults(checks: Sequence[Any], values: pa.Array) -> Iterator[Fault]:
    """The checks that values of a cast column break; a missing value breaks none."""
    if not checks:
        return
    series = (
        pd.Series(pd.arrays.ArrowExtensionArray(values))
        if pa.types.is_string(values.type)
        else pd.Series(values.to_numpy(zero_copy_only=False))
    )
    for check in checks:
        output = check(series).check_output
        wrong = output.index[~output.to_numpy(dtype=bool)]
        if len(wrong):
            yield Fault(str(check.error), wrong.to_numpy(np.int64))


def find_rule_breaks(rule: Rule, columns: Mapping[str, pa.Array]) -> np.ndarray:
    """Where rows break a rule. Shape (rows,), bool. Raises UseCaseError when its function does not answer."""
    arrays = [_to_rule_input(columns[name]) for name in rule.inputs]
    rows = len(arrays[0])

    def kept(_: pd.DataFrame) -> pd.Series:
        answer = np.asarray(rule.function(*arrays))
        if answer.shape != (rows,) or answer.dtype.kind not in "bO":
            raise TypeError(f"it returned {answer.dtype} of shape {answer.shape}")
        return pd.Series(answer.astype(bool))

    check: Any = pandera.Check(kept, ignore_na=False, error=rule.name)
    try:
        output = check(pd.DataFrame(index=pd.RangeIndex(rows))).check_output
    except (Exception, SystemExit) as error:
        raise UseCaseError(
            f"rule {rule.name!r} failed on {rows:,} rows: {type(error).__name__}: {error}",
            hint=f"it takes {', '.join(rule.inputs)} as NumPy arrays and returns as many booleans",
        ) from error
    broken_in: np.ndarray = ~output.to_numpy(dtype=bool)
    return broken_in


def _to_rule_input(values: pa.Array) -> np.ndarray:
    """float64 with NaN, or objects of str or None."""
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    # A copy: Arrow's memory is read-only, and a rule may well work in place.
    return array if pa.types.is_string(values.type) else array.astype(np.float64)
