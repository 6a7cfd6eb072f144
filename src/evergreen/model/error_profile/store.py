"""Error profiles in MariaDB: one row per version."""

from __future__ import annotations

import json

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.error_profile.profile import ErrorProfile, parse_error_profile
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.tables.platform import ERROR_PROFILE


def save_error_profile(engine: sa.Engine, use_case_name: str, version: int, profile: ErrorProfile) -> None:
    """Write a version's profile, in place of a former one of that number."""
    document = json.dumps(profile.to_json())
    insert = sa.dialects.mysql.insert(ERROR_PROFILE).values(
        use_case=use_case_name, model_version=version, profile=document
    )
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(profile=document))


def delete_error_profile(engine: sa.Engine, use_case_name: str, version: int) -> None:
    """Delete a version's profile: one of a registered model that was deleted, whose numbers begin anew."""
    c = ERROR_PROFILE.c
    with engine.begin() as connection:
        connection.execute(
            sa.delete(ERROR_PROFILE).where(c.use_case == use_case_name, c.model_version == version)
        )


def load_error_profile(engine: sa.Engine, use_case_name: str, version: int) -> ErrorProfile | None:
    """A version's profile; None where its training wrote none. Raises StoreError for an unreadable one."""
    c = ERROR_PROFILE.c
    statement = sa.select(c.profile).where(c.use_case == use_case_name, c.model_version == version)
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    if not rows:
        return None
    try:
        return parse_error_profile(json.loads(rows[0].profile))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the error profile of {use_case_name} version {version} cannot be read:"
            f" {type(error).__name__}: {error}",
            hint=f"train it again: evergreen train {use_case_name}",
        ) from error
