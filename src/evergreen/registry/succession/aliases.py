"""MLflow's aliases `champion` and `challenger`: setting and removing them. Private to the succession."""

from __future__ import annotations

from datetime import datetime

from evergreen.registry.champion import ALIAS_PATH, CHAMPION_ALIAS, find_alias_over_http
from evergreen.registry.connection import (
    create_mlflow_client,
    parse_response,
    send_delete_request,
    translate_mlflow_errors,
    uses_http,
)
from evergreen.registry.versions import PROMOTED_AT
from evergreen.settings import Settings

CHALLENGER_ALIAS = "challenger"


def set_champion(
    settings: Settings, use_case_name: str, version: int, promoted_at: datetime | None = None
) -> None:
    """Point the alias `champion` at that version; `promoted_at` (aware UTC) becomes a tag of the version.

    The tag is set after the alias, so a version that carries it has been champion. Raises
    RegistryUnreachable, RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        client.set_registered_model_alias(use_case_name, CHAMPION_ALIAS, str(version))
        if promoted_at is not None:
            client.set_model_version_tag(use_case_name, str(version), PROMOTED_AT, promoted_at.isoformat())


def set_challenger(settings: Settings, use_case_name: str, version: int) -> None:
    """Point the alias `challenger` at that version: it passed the gate and is not champion yet.

    Raises RegistryUnreachable, RegistryError.
    """
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        client.set_registered_model_alias(use_case_name, CHALLENGER_ALIAS, str(version))


def remove_challenger(settings: Settings, use_case_name: str, version: int) -> None:
    """Remove the alias `challenger` if it points at that version.

    Services call it too, so with a tracking server it does not import MLflow, which takes seconds. Raises
    RegistryUnreachable, RegistryError.
    """
    if uses_http(settings):
        challenger = find_alias_over_http(settings, use_case_name, CHALLENGER_ALIAS)
        if challenger is not None and challenger.version == version:
            body = {"name": use_case_name, "alias": CHALLENGER_ALIAS}
            parse_response(send_delete_request(settings, ALIAS_PATH, body))
        return
    client = create_mlflow_client(settings)
    with translate_mlflow_errors(settings):
        aliases = client.get_registered_model(use_case_name).aliases
        if str(aliases.get(CHALLENGER_ALIAS)) == str(version):
            client.delete_registered_model_alias(use_case_name, CHALLENGER_ALIAS)
