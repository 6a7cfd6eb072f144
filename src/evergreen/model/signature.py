"""The inputs of a use case's model, their order, and the check that a registered model fits them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from evergreen.errors import SignatureMismatch
from evergreen.usecase import Feature, OnDemandFeature, UseCase
from evergreen.usecase.code import digest_function

_FEATURE_CODE = "evergreen.on_demand_code"


def list_model_inputs(use_case: UseCase) -> tuple[Feature | OnDemandFeature, ...]:
    """The model's inputs in the order of its matrix: the declared order, numbers before categories.

    CatBoost's fast `FeaturesData` keeps numbers and categories in two blocks in that order. Text features
    that a model uses are read as categories.
    """
    features = use_case.model_features
    return (*(f for f in features if f.numeric), *(f for f in features if not f.numeric))


def compute_feature_digests(use_case: UseCase) -> dict[str, str]:
    """A digest of the code of each on-demand feature that the model needs, by the feature's name."""
    needed = {f.name for f in use_case.model_features}
    code: dict[str, str] = {}
    for feature in reversed(use_case.on_demand_order):
        if feature.name in needed:
            code[feature.name] = digest_function(feature.function)
            needed |= set(feature.inputs)
    return dict(sorted(code.items()))


def save_feature_digests(use_case: UseCase, model: Any) -> None:
    """Write the digests of `compute_feature_digests` into a fitted CatBoost model."""
    if code := compute_feature_digests(use_case):
        model.get_metadata()[_FEATURE_CODE] = json.dumps(code, sort_keys=True)


def check_signature(use_case: UseCase, version: int, model: Any) -> None:
    """Check that a CatBoost model takes the declared features and predicts the declared classes.

    On-demand features must be computed by the code that they were computed by in training. Raises
    SignatureMismatch naming what differs.
    """
    declared = {f.name: "number" if f.numeric else "category" for f in list_model_inputs(use_case)}
    categories = set(model.get_cat_feature_indices())
    trained = {
        name: "category" if index in categories else "number"
        for index, name in enumerate(model.feature_names_)
    }
    faults = [
        *(f"it wants {name}, which is not declared" for name in trained if name not in declared),
        *(f"it does not know {name}" for name in declared if name not in trained),
        *(
            f"{name} is a {kind} for it and a {declared[name]} in the declaration"
            for name, kind in trained.items()
            if declared.get(name, kind) != kind
        ),
    ]
    metadata = model.get_metadata()
    model_digests = json.loads(metadata[_FEATURE_CODE]) if _FEATURE_CODE in metadata else {}
    declared_digests = compute_feature_digests(use_case)
    faults += [
        f"{name} was computed by other code when it learned"
        for name, code in model_digests.items()
        if name in trained and declared_digests.get(name, code) != code
    ]
    if not faults and list(trained) != list(declared):
        faults.append("its features stand in another order")
    classes = read_model_classes(model)
    if classes != use_case.label.classes:
        faults.append(
            f"it predicts {', '.join(classes) or 'a number'} and not "
            f"{', '.join(use_case.label.classes) or 'a number'}"
        )
    if faults:
        raise SignatureMismatch(
            f"{use_case.name} version {version} does not fit the declaration: {'; '.join(faults[:5])}"
            f"{f' and {len(faults) - 5} more' if len(faults) > 5 else ''}",
            hint=f"train it again: evergreen train {use_case.name}; or undo the change to the use case",
        )


def compute_signature_digest(model: Any) -> str:
    """SHA-256 (hexadecimal) of a CatBoost model's inputs in their order, of which kind each is, and its
    classes."""
    document = {
        "features": list(model.feature_names_),
        "categories": [int(index) for index in model.get_cat_feature_indices()],
        "classes": list(read_model_classes(model)),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read_model_classes(model: Any) -> tuple[str, ...]:
    """The classes a CatBoost model predicts, in the order of its probability columns; none for regression."""
    return tuple(str(name) for name in model.classes_)
