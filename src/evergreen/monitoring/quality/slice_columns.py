"""The declared slices as MariaDB sees them: for each row the name of its group, such as "age=25 to 40"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from evergreen.model.matrix import MISSING
from evergreen.model.reference_profile import FeatureProfile
from evergreen.model.slice_groups import OTHER, format_edges
from evergreen.usecase import Slice

# As long as the column that holds them.
NAME_LENGTH = 191
# Without a reference profile the groups of a category would be as many as clients like.
_MOST_CHARACTERS = 100


def name_group(
    declared_slice: Slice, rows: sa.FromClause, profiles: Mapping[str, FeatureProfile]
) -> sa.ColumnElement[Any]:
    """The name of each row's group in a slice, "feature=value".

    Numbers are cut at the slice's edges, right-open. Of a category the values that its reference profile
    names are told apart, all others are "(other)"; missing values are "missing".
    """
    feature = declared_slice.feature
    column = rows.c[feature]
    if declared_slice.edges:
        names = format_edges(declared_slice.edges)
        value: sa.ColumnElement[Any] = sa.case(
            (column.is_(None), MISSING),
            *((column < edge, name) for edge, name in zip(declared_slice.edges, names[:-1], strict=True)),
            else_=names[-1],
        )
    else:
        profile = profiles.get(feature)
        bins = [str(name) for name in profile.bins] if profile and profile.kind == "category" else []
        value = sa.case(
            (column.is_(None), MISSING),
            *([(column.in_(bins), sa.func.left(column, _MOST_CHARACTERS))] if bins else []),
            else_=OTHER,
        )
    return sa.func.left(sa.func.concat(f"{feature}=", value), NAME_LENGTH)
