"""The rules of a contract across the columns of a row, applied to all rows at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from evergreen.errors import UseCaseError
from evergreen.usecase import Rule


def find_rule_breaks(rule: Rule, columns: Mapping[str, pa.Array]) -> np.ndarray:
    """Where rows break a rule: shape (rows,), bool.

    `columns` holds the rule's inputs, each of its declared type. Raises UseCaseError when the rule's function
    raises, or returns anything but one boolean per row.
    """
    inputs = [_to_rule_input(columns[name]) for name in rule.inputs]
    rows = len(inputs[0])
    try:
        answer = np.asarray(rule.function(*inputs))
        if answer.shape != (rows,) or answer.dtype.kind not in "bO":
            raise TypeError(f"it returned {answer.dtype} of shape {answer.shape}")
        holds = answer.astype(bool)
    except (Exception, SystemExit) as error:
        raise UseCaseError(
            f"rule {rule.name!r} failed on {rows:,} rows: {type(error).__name__}: {error}",
            hint=f"it takes {', '.join(rule.inputs)} as NumPy arrays and returns as many booleans",
        ) from error
    breaks: np.ndarray = ~holds
    return breaks


def _to_rule_input(values: pa.Array) -> np.ndarray:
    """float64 with NaN, or objects of str or None."""
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    # A copy: Arrow's memory is read-only, and a rule may change its arguments in place.
    return array if pa.types.is_string(values.type) else array.astype(np.float64)
