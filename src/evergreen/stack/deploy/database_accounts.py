"""`python -m evergreen.stack.deploy.database_accounts`: the accounts of MariaDB for services and dashboards.

Runs in a container of its own as MariaDB's administrator (EVERGREEN_MARIADB_USER), after the platform's
tables are there and before any service starts. It creates the tables of the declared use cases that are
missing, because rights are given on tables that exist. Safe to run again: an account gets the password of
now.
"""

from __future__ import annotations

import os
import sys

from evergreen.errors import EvergreenError, SettingsError
from evergreen.settings import load_settings
from evergreen.stack.deploy.facts import DATABASE_ACCOUNTS
from evergreen.store.connection.database import get_engine
from evergreen.store.rights.accounts import prepare_account, run_statements
from evergreen.store.rights.roles import build_role_grants
from evergreen.usecases import load_valid_use_cases

# From wherever containers of the same network connect.
_HOST = "%"


def main() -> int:
    """Make every account of DATABASE_ACCOUNTS; 0, or the error's exit code.

    A use case whose declaration cannot be loaded is told and left out.
    """
    try:
        settings = load_settings()
        engine = get_engine(settings)
        valid, faults = load_valid_use_cases(settings)
        for name, error in faults.items():
            sys.stderr.write(f"{name} is left out: {error.message}\n")
        for each in DATABASE_ACCOUNTS:
            password = os.environ.get(each.password_variable)
            if not password:
                raise SettingsError(f"{each.password_variable} is not set", hint="run `make env`")
            account = (each.user, _HOST)
            prepare_account(engine, account, password, valid.values())
            run_statements(
                engine, build_role_grants(each.role, account, settings.mariadb_database, valid.values())
            )
            sys.stdout.write(f"{each.user} has the rights of a {each.role}\n")
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
