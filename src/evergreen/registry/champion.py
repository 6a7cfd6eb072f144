"""The champion of a use case: the version that MLflow's alias `champion` points at.

The service, the supervisor and the command line read it every few seconds. So with a tracking server it is
one REST request, and MLflow itself is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import httpx

from evergreen.errors import NoChampion
from evergreen.registry.connection import (
    create_mlflow_client,
    send_get_request,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.registry.versions import ModelVersion, parse_version_response
from evergreen.settings import Settings

CHAMPION_ALIAS = "champion"
# Where a tracking server reads and removes aliases.
ALIAS_PATH = "/api/2.0/mlflow/registered-models/alias"

# MLflow's error codes for a model, or an alias of it, that does not exist.
_ABSENT_CODES = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


@dataclass(frozen=True)
class Champion:
    """The version in production. `promoted_at` (aware UTC) is None if someone set the alias by hand."""

    version: int
    run_id: str
    promoted_at: datetime | None


def read_champion(settings: Settings, use_case_name: str) -> Champion | None:
    """The champion of that use case; None where MLflow has no such model, or no alias `champion` of it.

    Raises RegistryUnreachable within seconds when MLflow does not answer, RegistryError when its answer is
    an error or cannot be read.
    """
    if uses_http(settings):
        version = find_alias_over_http(settings, use_case_name, CHAMPION_ALIAS)
        return _build_champion(version) if version else None
    client = create_mlflow_client(settings)
    # Importing MLflow takes seconds; only a store without a server needs it here.
    from mlflow.exceptions import MlflowException

    with translate_mlflow_errors(settings):
        try:
            entity = client.get_model_version_by_alias(use_case_name, CHAMPION_ALIAS)
        except MlflowException as error:
            if error.error_code in _ABSENT_CODES:
                return None
            raise
    return _build_champion(ModelVersion(int(entity.version), entity.run_id or "", entity.tags))


def find_alias_over_http(settings: Settings, use_case_name: str, alias: str) -> ModelVersion | None:
    """The version that an alias points at, asked of a tracking server without importing MLflow; None without
    such an alias. Raises RegistryUnreachable, RegistryError."""
    response = send_get_request(settings, ALIAS_PATH, {"name": use_case_name, "alias": alias})
    if response.status_code in (400, 404) and _read_error_code(response) in _ABSENT_CODES:
        return None
    return parse_version_response(response)


def require_champion(settings: Settings, use_case_name: str) -> Champion:
    """The champion of that use case; raises NoChampion, whose hint says how to get one."""
    champion = read_champion(settings, use_case_name)
    if champion is None:
        raise NoChampion(
            f"{use_case_name} has no champion",
            hint=f"run its training: evergreen train {use_case_name}; or, if it had one, go back to it:"
            f" evergreen rollback {use_case_name}",
        )
    return champion


def _read_error_code(response: httpx.Response) -> str:
    try:
        return str(response.json().get("error_code", ""))
    except (ValueError, AttributeError):  # not JSON, or not an object
        return ""


def _build_champion(version: ModelVersion) -> Champion:
    return Champion(version.version, version.run_id, version.promoted_at)
