"""Versions of a registered model in MLflow: reading one and setting its tags. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx

from evergreen.errors import NotRegistered
from evergreen.registry.connection import (
    create_mlflow_client,
    parse_response,
    send_get_request,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.settings import Settings

# Tag of a version that has been champion: when it last became so, ISO 8601.
PROMOTED_AT = "evergreen.promoted_at"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model: its number, the MLflow run that made it (may be empty), its tags."""

    version: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def promoted_at(self) -> datetime | None:
        """When it last became champion (aware UTC); None if Evergreen never made it champion."""
        moment = self.tags.get(PROMOTED_AT)
        return datetime.fromisoformat(moment) if moment else None


def read_version(settings: Settings, use_case_name: str, version: int) -> ModelVersion:
    """That version as the registry has it.

    Raises NotRegistered when there is none, RegistryUnreachable, RegistryError.
    """
    if uses_http(settings):
        return parse_version_response(
            send_get_request(
                settings,
                "/api/2.0/mlflow/model-versions/get",
                {"name": use_case_name, "version": str(version)},
            )
        )
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        entity = client.get_model_version(use_case_name, str(version))
    return ModelVersion(int(entity.version), entity.run_id or "", dict(entity.tags))


def list_versions(settings: Settings, use_case_name: str) -> list[ModelVersion]:
    """Every version of a use case's model, in the order of their numbers; none where there is no such model.

    Raises RegistryUnreachable, RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        entities = client.search_model_versions(f"name = '{use_case_name}'")
    versions = [ModelVersion(int(each.version), each.run_id or "", dict(each.tags)) for each in entities]
    return sorted(versions, key=lambda each: each.version)


def parse_version_response(response: httpx.Response) -> ModelVersion:
    """The version in a REST answer whose body holds a `model_version`. Raises as `parse_response` does."""
    document = parse_response(response)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in document.get("tags", [])}
    return ModelVersion(int(document["version"]), document.get("run_id") or "", tags)


def has_version(settings: Settings, use_case_name: str, version: int) -> bool:
    """Whether the registry has that version.

    Raises RegistryUnreachable, and RegistryError where the answer does not say (refused, or no MLflow).
    """
    try:
        read_version(settings, use_case_name, version)
    except NotRegistered:
        return False
    return True


def tag_version(settings: Settings, use_case_name: str, version: int, tags: Mapping[str, str]) -> None:
    """Set tags of a version; other tags stay. Raises RegistryUnreachable, RegistryError."""
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        for name, value in tags.items():
            client.set_model_version_tag(use_case_name, str(version), name, value)
