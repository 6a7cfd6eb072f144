"""Accounts of MariaDB that may do less than the platform's own user, which owns every table.

A role is a set of rights. `service` is for prediction services: they read online vectors and what models are,
append to the prediction log and to the ledger, and end trials. They can neither read the history that models
are trained on nor change or delete a logged prediction. `reader` is for dashboards and exporters: SELECT on
the platform's tables and on the ledger.

MariaDB gives rights on tables that exist. So the tables of a use case are made first, and the statements are
run again when a use case is added or a migration adds a table. Each statement only adds rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from evergreen.errors import SettingsError
from evergreen.store.tables import platform
from evergreen.store.tables.sql_files import build_ledger_grants, get_ledger_schema
from evergreen.usecase import UseCase

Role = Literal["service", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)
# Names that need no quoting within the statements.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:%-]+")

# The rights of a service on tables of the platform.
_SERVICE_RIGHTS = {
    platform.SCHEMA_MIGRATION: "SELECT",
    platform.GENERATED_TABLE_MIGRATION: "SELECT",
    platform.TRAINING_RUN: "SELECT",
    platform.MODEL_RECORD: "SELECT",
    platform.REFERENCE_PROFILE: "SELECT",
    # A trial ends when its challenger fails.
    platform.MODEL_TRIAL: "SELECT, UPDATE (ended_at, outcome, reason, ended_by)",
    # Counted while rows are logged: a row per hour and bin, inserted or raised. Counts by a former profile of
    # the same version are deleted.
    platform.REFUSED_COUNT: "SELECT, INSERT, UPDATE",
    platform.PREDICTION_HOUR: "SELECT, INSERT, UPDATE",
    platform.PREDICTION_COUNT: "SELECT, INSERT, UPDATE, DELETE",
}


def build_role_grants(
    role: Role, account: tuple[str, str], database: str, use_cases: Iterable[UseCase]
) -> list[str]:
    """The statements, an administrator's, that give an account (user and host) the rights of a role.

    `database` is the platform's. A reader may read the tables of every use case, a service those of
    `use_cases`. Raises SettingsError for a user or a host that is no plain name.
    """
    user, host = account
    for word in account:
        if not _PLAIN_NAME.fullmatch(word):
            raise SettingsError(
                f"{word!r} cannot be part of an account",
                hint="give letters, digits, and _ . - ; for the host also : and %",
            )
    grantee = f"'{user}'@'{host}'"
    if role == "reader":
        return [
            f"GRANT SELECT ON `{_escape_pattern(name)}`.* TO {grantee}"
            for name in (database, get_ledger_schema(database))
        ]
    rights = {table.name: right for table, right in _SERVICE_RIGHTS.items()}
    for use_case in use_cases:
        rights |= list_service_rights(use_case)
    ledger_grants = build_ledger_grants(database, user, [host])
    return [
        *(f"GRANT {right} ON `{database}`.`{table}` TO {grantee}" for table, right in rights.items()),
        # What it takes away is for accounts of before; a service that runs would lose its right for a moment.
        *(grant for grant in ledger_grants if grant.startswith("GRANT")),
    ]


def list_service_rights(use_case: UseCase) -> dict[str, str]:
    """The tables of a use case that its service works with, and the rights that it has on each."""
    return {
        **{use_case.online_table(view): "SELECT" for view in use_case.views},
        # Rows are appended: no right to change or delete one.
        use_case.prediction_table: "SELECT, INSERT",
        use_case.outcome_table: "SELECT, INSERT",
    }


def _escape_pattern(database: str) -> str:
    """A database's name in a GRANT on all its tables, where an underscore would stand for any character."""
    return database.replace("_", r"\_").replace("%", r"\%")
