"""`evergreen rights`: MariaDB accounts that may do less than the platform's own user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evergreen.cli.app import AsJson, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.errors import SettingsError
from evergreen.settings import load_settings

with import_on_use(__name__):
    from evergreen import usecases
    from evergreen.store.connection import database
    from evergreen.store.rights import accounts, roles
    from evergreen.store.tables import create


@app.command("rights")
def give_rights(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="`service` or `reader`.")],
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The account of MariaDB.")],
    host: Annotated[
        str, typer.Option("--host", help="Where the account connects from; % for anywhere.")
    ] = "%",
    use_case_names: Annotated[
        list[str] | None,
        typer.Option(
            "--use-case",
            metavar="USE_CASE",
            help="A service's use case; may be given again. Default: all that are declared.",
        ),
    ] = None,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Run the statements as EVERGREEN_MARIADB_USER, an administrator then, who also makes the"
            " account and the tables that are missing.",
        ),
    ] = False,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", help="With --apply: the file with the account's password."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the statements that give a MariaDB account the rights of ROLE, for an administrator to run.

    `service` is for prediction services: reads online vectors and models, appends to the prediction log and
    the ledger. `reader` is for dashboards and exporters: SELECT. Rights are on tables that exist, so run it
    again when a use case is added. Statements only add rights.

    Examples: `evergreen rights reader --user grafana | mariadb` ·
    `EVERGREEN_MARIADB_USER=root evergreen rights service --user evergreen_service --apply --password-file
    key`
    """
    if role not in roles.ROLES:
        raise SettingsError(f"there is no role {role!r}", hint=f"the roles are {' and '.join(roles.ROLES)}")
    if password_file is not None and not apply:
        raise SettingsError("--password-file is for --apply", hint="printed statements hold no password")
    settings = load_settings()
    if use_case_names:
        use_cases = [usecases.load_use_case(name, settings) for name in use_case_names]
    else:
        valid, faults = usecases.load_valid_use_cases(settings)
        use_cases = list(valid.values())
        for name, error in faults.items():
            err.print(Text(f"{name} is left out: {error.message}"))
    statements = roles.build_role_grants(role, (user, host), settings.mariadb_database, use_cases)
    if apply:
        engine = database.get_engine(settings)
        password = accounts.read_password(password_file)
        for use_case in use_cases:
            create.create_tables(engine, use_case)
        if password is not None:
            accounts.make_account(engine, (user, host), password)
        accounts.run_statements(engine, statements)
    facts = {"role": role, "user": user, "host": host, "applied": apply, "statements": statements}
    show_facts(facts, as_json, lambda: Text("\n".join(f"{statement};" for statement in statements)))
