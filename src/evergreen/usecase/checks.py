"""The checks on how the parts of a declaration fit each other; `UseCase` applies them when it is made.

Each raises UseCaseError, which names the use case and the part, and says how to correct it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evergreen.errors import UseCaseError
from evergreen.usecase.features import Entity, Feature, FeatureSet, OnDemandFeature
from evergreen.usecase.gate import SLICE_METRICS, SLICES_PREFIX, Gate, Slice
from evergreen.usecase.names import (
    CATEGORY_CHARACTERS,
    IDENTIFIER_LENGTH,
    KEY_CHARACTERS,
    PAGE_BYTES,
    RESERVED_COLUMNS,
    RESERVED_VIEWS,
    ROW_BYTES,
    ROW_NUMBER,
    DType,
    Problem,
    suggest_name,
)
from evergreen.usecase.sources import FileSource
from evergreen.usecase.views import FeatureView, Label

DECLARE_OR_RENAME = "declare it or rename the parameter"


def check_names(
    use_case_name: str, names: Sequence[str], views: Sequence[FeatureView], tables: Iterable[str]
) -> None:
    """Check the names of keys, features and label (`names`), of views, and of the tables that follow from
    them.

    Each name occurs once and is not that of a column or table which Evergreen adds itself; no table's name is
    longer than MariaDB allows.
    """
    repeated_names = sorted({name for name in names if names.count(name) > 1})
    if repeated_names:
        raise UseCaseError(
            f"use case {use_case_name!r} declares {', '.join(repeated_names)} more than once",
            hint="keys, features and the label share one namespace: rename one of them",
        )
    reserved_names = sorted(set(names) & RESERVED_COLUMNS)
    if reserved_names:
        raise UseCaseError(
            f"use case {use_case_name!r} uses the reserved name {', '.join(reserved_names)}",
            hint="give the feature another name and say the source's in column=...",
        )
    view_names = [view.name for view in views]
    bad_views = sorted({name for name in view_names if name in RESERVED_VIEWS or view_names.count(name) > 1})
    if bad_views:
        raise UseCaseError(
            f"use case {use_case_name!r} names a feature view {', '.join(bad_views)} twice or against the"
            " rules",
            hint=f"name each view once, and none {' or '.join(sorted(RESERVED_VIEWS))}",
        )
    for table in tables:
        if len(table) > IDENTIFIER_LENGTH:
            raise UseCaseError(
                f"the table name {table!r} is longer than {IDENTIFIER_LENGTH} characters",
                hint="shorten the names of the use case or its feature view",
            )


def check_row_size(
    use_case_name: str, entity: Entity, features: Sequence[Feature | OnDemandFeature], label: Label
) -> None:
    """Check that all keys and features, stored and on-demand, fit into one row of the prediction log.

    MariaDB limits a row twice: by the greatest size of all values but texts, and by the bytes of each value
    that must lie in InnoDB's page.
    """
    numbers = sum(feature.numeric for feature in features)
    strings = len(features) - numbers
    categories = sum(feature.dtype == "category" for feature in features)
    categories += 2 * bool(label.classes)  # the prediction, and room for one that takes its place
    text_keys = sum(key.dtype == "text" for key in entity.keys)
    row = 8 * numbers + (4 * CATEGORY_CHARACTERS + 2) * categories + (4 * KEY_CHARACTERS + 2) * text_keys
    page = 8 * numbers + 21 * strings
    if row > ROW_BYTES or page > PAGE_BYTES:
        raise UseCaseError(
            f"use case {use_case_name!r} has more features than a row of MariaDB holds:"
            f" {numbers} numbers and {strings} categories or texts",
            hint="about 60 categories or 950 numbers fit: leave out what the model needs least",
        )


def check_feature_sets(
    use_case_name: str, feature_sets: Sequence[FeatureSet], model_set: str, feature_types: Mapping[str, DType]
) -> None:
    """Check that feature sets have different names and choose declared features, and that `model_set` is one
    of them, or ""."""
    for feature_set in feature_sets:
        for name in feature_set.features:
            if name not in feature_types:
                raise UseCaseError(
                    f"feature set {feature_set.name!r} of {use_case_name!r} chooses {name!r},"
                    " which nobody declares",
                    hint=suggest_name(name, feature_types, DECLARE_OR_RENAME),
                )
    sets = [feature_set.name for feature_set in feature_sets]
    if len(set(sets)) < len(sets) or (model_set and model_set not in sets):
        raise UseCaseError(
            f"use case {use_case_name!r} has the feature sets {', '.join(sets) or 'none'}"
            + (f" and gives the model {model_set!r}" if model_set else ""),
            hint="name each set once, and one of them in model_set",
        )


def check_contracts(use_case_name: str, entity: Entity, parts: Mapping[str, FeatureView | Label]) -> None:
    """Check that rules read columns of their own part, that references lead to other views, and that a key
    from row numbers is only declared for files."""
    keys = entity.key_names
    views = {name for name, part in parts.items() if isinstance(part, FeatureView)}
    for name, part in parts.items():
        part_columns = part.feature_names if isinstance(part, FeatureView) else (part.name,)
        columns = {*keys, *part_columns}
        for rule in part.contract.rules:
            for column in rule.inputs:
                if column not in columns:
                    raise UseCaseError(
                        f"rule {rule.name!r} of {use_case_name!r} needs {column!r},"
                        f" which {name} does not have",
                        hint=suggest_name(column, columns, DECLARE_OR_RENAME),
                    )
        for reference in part.contract.references:
            if reference.view not in views - {name}:
                raise UseCaseError(
                    f"{name} of {use_case_name!r} refers to the view {reference.view!r}",
                    hint=f"refer to another one of {', '.join(sorted(views - {name})) or 'its views'}",
                )
        numbered = any(key.source_column == ROW_NUMBER for key in entity.keys)
        if numbered and not isinstance(part.source, FileSource):
            raise UseCaseError(
                f"{name} of {use_case_name!r} takes its key from row numbers, but does not read a file",
                hint="declare a key column that the query returns",
            )


def check_slices(
    use_case_name: str,
    slices: Sequence[Slice],
    gate: Gate,
    feature_types: Mapping[str, DType],
    problem: Problem,
) -> None:
    """Check that slices are of declared features, with edges for numbers and without for categories, and that
    the gate names declared slices."""
    for slice_ in slices:
        dtype = feature_types.get(slice_.feature)
        if dtype is None:
            raise UseCaseError(
                f"a slice of {use_case_name!r} is of {slice_.feature!r}, which nobody declares",
                hint=suggest_name(slice_.feature, feature_types, DECLARE_OR_RENAME),
            )
        if (dtype in ("int", "float")) != bool(slice_.edges):
            raise UseCaseError(
                f"the slice {slice_.feature!r} of {use_case_name!r} is a {dtype} "
                + ("with edges" if slice_.edges else "without edges"),
                hint="give a number edges=(...) that cut it into groups; a category has its values",
            )
        metrics = SLICE_METRICS[problem]
        if slice_.metric and slice_.metric not in metrics:
            raise UseCaseError(
                f"the slice {slice_.feature!r} of {use_case_name!r} limits {slice_.metric!r}",
                hint=f"of a {problem} problem's groups these are measured: {', '.join(metrics)}",
            )
    slice_checks = {f"{SLICES_PREFIX}{slice_.feature}" for slice_ in slices}
    for name in (*gate.hard, *gate.warn):
        if name.startswith(SLICES_PREFIX) and name not in slice_checks:
            raise UseCaseError(
                f"the gate of {use_case_name!r} names {name!r}, which has no slice",
                hint=suggest_name(name, slice_checks, DECLARE_OR_RENAME)
                if slice_checks
                else "declare the slice, or leave the name out",
            )
