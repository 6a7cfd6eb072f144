"""`python -m evergreen.stack.deploy.database_accounts`: the accounts of MariaDB for services and dashboards.

Runs in a container of its own as MariaDB's administrator (EVERGREEN_MARIADB_USER), after the platform's
tables are there and before any service starts. It creates the tables of the declared use cases that are
missing, because rights are given on tables that exist. Safe to run again: an account gets the password of
now.
"""

from __future__ import annotations

import os
import sys

import sqlalchemy as sa

from evergreen.errors import EvergreenError, SettingsError
from evergreen.settings import load_settings
from evergreen.stack.deploy.facts import DATABASE_ACCOUNTS
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.rights.accounts import make_account, run_statements
from evergreen.store.rights.roles import build_role_grants, list_service_rights
from evergreen.store.tables.create import create_tables
from evergreen.store.tables.evolve import diff_tables
from evergreen.usecase import UseCase
from evergreen.usecases import load_valid_use_cases

# From wherever containers of the same network connect.
_HOST = "%"


def main() -> int:
    """Make every account of DATABASE_ACCOUNTS; 0, or the error's exit code.

    A use case whose declaration cannot be loaded, or whose tables cannot become as it declares them, is told
    and keeps nobody else waiting: its service says what is wrong.
    """
    try:
        settings = load_settings()
        engine = get_engine(settings)
        apply_migrations(engine)
        valid, faults = load_valid_use_cases(settings)
        for name, error in faults.items():
            _tell(name, error)
        use_cases = [use_case for use_case in valid.values() if _has_tables(engine, use_case)]
        for each in DATABASE_ACCOUNTS:
            password = os.environ.get(each.password_variable)
            if not password:
                raise SettingsError(f"{each.password_variable} is not set", hint="run `make env`")
            account = (each.user, _HOST)
            make_account(engine, account, password)
            run_statements(
                engine, build_role_grants(each.role, account, settings.mariadb_database, use_cases)
            )
            sys.stdout.write(f"{each.user} has the rights of a {each.role}\n")
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _has_tables(engine: sa.Engine, use_case: UseCase) -> bool:
    """Create the tables of a use case that are missing; whether all that its service works with are there."""
    try:
        create_tables(engine, use_case)
    except EvergreenError as error:
        _tell(use_case.name, error)
    missing = {change.table for change in diff_tables(engine, use_case) if change.kind == "create table"}
    return missing.isdisjoint(list_service_rights(use_case))


def _tell(use_case_name: str, error: EvergreenError) -> None:
    sys.stderr.write(f"{use_case_name}: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
