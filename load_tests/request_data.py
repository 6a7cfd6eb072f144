"""What the users send: rows, keys and outcomes of a use case, and requests that must be refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_submodule, load_use_case

DRAWN = 2_000


@dataclass(frozen=True)
class BadRequest:
    """A request that must be answered with that 4xx; `kind` is its name in the statistics."""

    kind: str
    status: int
    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class Requests:
    """All of them. `keys_exist`: whether the online store is known to hold each of the `keys`.

    `outcomes` is empty where any number may be one.
    """

    rows: list[dict[str, Any]]
    keys: list[dict[str, Any]]
    keys_exist: bool
    outcomes: list[str]
    bad: list[BadRequest]


def build_requests(settings: Settings, name: str, seed: int, keys: Path | None = None) -> Requests:
    """Rows of the use case's simulator where there is one, else drawn from its domains.

    `keys` is a file with a JSON list of keys, such as [{"customer_id": 1}]. Raises EvergreenError, OSError,
    ValueError for a file that is none.
    """
    use_case = load_use_case(name, settings)
    simulator = load_submodule(name, "simulator", settings)
    rows: list[dict[str, Any]]
    if simulator is not None and hasattr(simulator, "draw"):
        rows = simulator.draw(DRAWN, seed, scenario="stable")[0]
    else:
        rows = list(draw_requests(use_case, DRAWN, seed))
    drawn = draw_requests(use_case, DRAWN, seed)
    names = use_case.entity.key_names
    return Requests(
        rows=rows,
        keys=read_keys(keys) if keys else [{key: row[key] for key in names} for row in drawn],
        keys_exist=keys is not None,
        outcomes=list(use_case.label.classes),
        bad=build_bad_requests(use_case, dict(drawn[0])),
    )


def read_keys(file: Path) -> list[dict[str, Any]]:
    """Raises ValueError when the file holds no keys."""
    keys = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise ValueError(f'{file} is no JSON list of keys such as [{{"customer_id": 1}}]')
    return keys


def build_bad_requests(use_case: UseCase, row: dict[str, Any]) -> list[BadRequest]:
    """Requests that break the contract in one way each. `row` is one that keeps it."""
    bad = [
        BadRequest("no JSON", 400, "POST", "/predict", b'{"data": {'),
        BadRequest("unknown field", 422, "POST", "/predict", _encode({**row, "no_such_field": 1})),
        BadRequest("no data", 422, "POST", "/predict", b"{}"),
        BadRequest("empty batch", 422, "POST", "/predict_batch", _encode([])),
        BadRequest("batch with a bad row", 422, "POST", "/predict_batch", _encode([row, {"no_such": 1}])),
        BadRequest("unknown route", 404, "POST", "/no_such_route", b"{}"),
        BadRequest("wrong method", 405, "GET", "/predict"),
        BadRequest(
            "ill-formed id",
            422,
            "POST",
            "/feedback",
            json.dumps({"prediction_id": "no id", "actual": (use_case.label.classes or (0.5,))[0]}).encode(),
        ),
    ]
    for feature in use_case.stored_features:
        if feature.numeric:
            body = _encode({**row, feature.name: "text"})
            bad.append(BadRequest("text for a number", 422, "POST", "/predict", body))
            break
    for feature in use_case.stored_features:
        if feature.strict and not feature.nullable:
            body = _encode({name: value for name, value in row.items() if name != feature.name})
            bad.append(BadRequest("missing field", 422, "POST", "/predict", body))
            break
    for feature in use_case.stored_features:
        if feature.strict and feature.numeric and feature.minimum is not None:
            body = _encode({**row, feature.name: int(feature.minimum) - 1})
            bad.append(BadRequest("beyond its domain", 422, "POST", "/predict", body))
            break
    return bad


def _encode(data: Any) -> bytes:
    return json.dumps({"data": data}).encode()
