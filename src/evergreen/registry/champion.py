"""Who is champion? The question that the service, the supervisor and the command line ask all the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evergreen.errors import NoChampion
from evergreen.registry.connection import (
    create_mlflow_client,
    parse_response,
    send_get_request,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.settings import Settings

CHAMPION_ALIAS = "champion"
PROMOTED_AT = "evergreen.promoted_at"

# What MLflow answers for a model, or an alias of it, that does not exist.
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


@dataclass(frozen=True)
class Champion:
    """The version in production. `promoted_at` (aware UTC) is None if someone set the alias by hand."""

    version: int
    run_id: str
    promoted_at: datetime | None


def read_champion(settings: Settings, use_case_name: str) -> Champion | None:
    """The champion of that use case, or None before the first promotion.

    Raises RegistryUnreachable within seconds when MLflow does not answer, RegistryError when it answers
    amiss.
    """
    if uses_http(settings):
        return _read_over_rest(settings, use_case_name)
    client = create_mlflow_client(settings)
    from mlflow.exceptions import MlflowException

    with translate_mlflow_errors(settings):
        try:
            found = client.get_model_version_by_alias(use_case_name, CHAMPION_ALIAS)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise
    return _build_champion(found.version, found.run_id, found.tags)


def require_champion(settings: Settings, use_case_name: str) -> Champion:
    """The champion; raises NoChampion, which says how to get one."""
    found = read_champion(settings, use_case_name)
    if found is None:
        raise NoChampion(
            f"{use_case_name} has no champion",
            hint=f"run its training: evergreen train {use_case_name}; or, if it had one, go back to it:"
            f" evergreen rollback {use_case_name}",
        )
    return found


def _read_over_rest(settings: Settings, use_case_name: str) -> Champion | None:
    response = send_get_request(
        settings,
        "/api/2.0/mlflow/registered-models/alias",
        {"name": use_case_name, "alias": CHAMPION_ALIAS},
    )
    if response.status_code in (400, 404) and _read_error_code(response) in _ABSENT:
        return None
    found = parse_response(response)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    return _build_champion(found["version"], found.get("run_id", ""), tags)


def _read_error_code(response: Any) -> str:
    try:
        return str(response.json().get("error_code", ""))
    except (ValueError, AttributeError):
        return ""


def _build_champion(version: str | int, run_id: str | None, tags: Mapping[str, str]) -> Champion:
    promoted = tags.get(PROMOTED_AT)
    return Champion(int(version), run_id or "", datetime.fromisoformat(promoted) if promoted else None)
