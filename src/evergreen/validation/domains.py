"""The declared domain of a column, checked on all of its values at once.

A feature's domain is its minimum and maximum or its allowed values, a label's its classes, and a text key's
its greatest length. `domain_words` applies the domain of a feature to a single value and has the words for
each check.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import KEY_CHARACTERS, Feature, Label
from evergreen.validation.casting import Fault
from evergreen.validation.domain_words import (
    describe_above_maximum,
    describe_below_minimum,
    describe_not_allowed,
    describe_too_long,
)
from evergreen.validation.part_columns import DeclaredColumn


def find_domain_faults(declaration: DeclaredColumn, values: pa.Array) -> list[Fault]:
    """The checks of the declared domain that a column breaks, each with the rows (positions) that break it.

    `values` has the declared type, as `cast_column` returns it. A missing value breaks no check.
    """
    faults = (Fault(check, np.flatnonzero(broken)) for check, broken in _apply_checks(declaration, values))
    return [fault for fault in faults if len(fault.rows)]


def _apply_checks(declaration: DeclaredColumn, values: pa.Array) -> Iterator[tuple[str, np.ndarray]]:
    """The words of each check, and where a value breaks it: shape (rows,), bool."""
    if isinstance(declaration, Feature):
        if declaration.allowed:
            yield describe_not_allowed(declaration.allowed), _find_not_allowed(values, declaration.allowed)
        if declaration.minimum is None and declaration.maximum is None:
            return
        # float64 with NaN where values are missing, which no comparison holds for.
        numbers = values.to_numpy(zero_copy_only=False)
        if declaration.minimum is not None:
            yield describe_below_minimum(declaration.minimum), numbers < declaration.minimum
        if declaration.maximum is not None:
            yield describe_above_maximum(declaration.maximum), numbers > declaration.maximum
    elif isinstance(declaration, Label):
        if declaration.classes:
            yield describe_not_allowed(declaration.classes), _find_not_allowed(values, declaration.classes)
    elif declaration.dtype == "text":
        too_long = pc.greater(pc.utf8_length(values), KEY_CHARACTERS)
        yield describe_too_long(KEY_CHARACTERS), _to_mask(pc.fill_null(too_long, False))


def _find_not_allowed(values: pa.Array, allowed: tuple[str, ...]) -> np.ndarray:
    among_allowed = pc.is_in(values, value_set=pa.array(allowed, pa.string()))
    return _to_mask(pc.and_not(pc.is_valid(values), among_allowed))


def _to_mask(booleans: pa.Array) -> np.ndarray:
    mask: np.ndarray = booleans.to_numpy(zero_copy_only=False)
    return mask
