"""Accounts of MariaDB that may do less than the platform's own user, which owns every table.

A role is a set of rights. `service` is for prediction services: they read online vectors and what models are,
append to the prediction log and to the ledger, and end trials. They can neither read the history that models
are trained on nor change or delete a logged prediction. `reader` is for dashboards and exporters: SELECT on
the platform's tables and on the ledger.

MariaDB gives rights on tables that exist. So the tables of a use case are made first, and the statements are
run again when a use case is added or a migration adds a table. Each statement only adds rights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from evergreen.store.tables import platform
from evergreen.store.tables.sql_files import build_ledger_grants, get_ledger_schema
from evergreen.usecase import UseCase

Role = Literal["service", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)

# The rights of a service on tables of the platform.
_SERVICE_RIGHTS = {
    platform.SCHEMA_MIGRATION: "SELECT",
    platform.GENERATED_TABLE_MIGRATION: "SELECT",
    platform.TRAINING_RUN: "SELECT",
    platform.MODEL_RECORD: "SELECT",
    platform.REFERENCE_PROFILE: "SELECT",
    # A trial ends when its challenger fails.
    platform.MODEL_TRIAL: "SELECT, UPDATE",
    # Counted while rows are logged: a row per hour and bin, inserted or raised.
    platform.REFUSED_COUNT: "SELECT, INSERT, UPDATE",
    platform.PREDICTION_HOUR: "SELECT, INSERT, UPDATE",
    platform.PREDICTION_COUNT: "SELECT, INSERT, UPDATE",
}


def build_role_grants(
    role: Role, account: tuple[str, str], database: str, use_cases: Iterable[UseCase]
) -> list[str]:
    """The statements, an administrator's, that give an account (user and host) the rights of a role.

    `database` is the platform's. A reader may read the tables of every use case, a service those of
    `use_cases`.
    """
    user, host = account
    grantee = f"'{user}'@'{host}'"
    if role == "reader":
        return [
            f"GRANT SELECT ON `{_escape_pattern(name)}`.* TO {grantee}"
            for name in (database, get_ledger_schema(database))
        ]
    rights = {table.name: right for table, right in _SERVICE_RIGHTS.items()}
    for use_case in use_cases:
        rights |= _list_use_case_rights(use_case)
    return [
        *(f"GRANT {right} ON `{database}`.`{table}` TO {grantee}" for table, right in rights.items()),
        *build_ledger_grants(database, user, [host]),
    ]


def _list_use_case_rights(use_case: UseCase) -> dict[str, str]:
    """A service's rights on the tables of one use case."""
    return {
        **{use_case.online_table(view): "SELECT" for view in use_case.views},
        # Rows are appended: no right to change or delete one.
        use_case.prediction_table: "SELECT, INSERT",
        use_case.outcome_table: "SELECT, INSERT",
    }


def _escape_pattern(database: str) -> str:
    """A database's name in a GRANT on all its tables, where an underscore would stand for any character."""
    return database.replace("_", r"\_").replace("%", r"\%")
