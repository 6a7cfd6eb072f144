"""`python -m evergreen.stack.deploy.airflow_init`: bring a container's Airflow up to date, then end.

Migrates the metadata database, sets the pool of trainings and the first user, whose password is the one of
the settings afterwards. Airflow's own commands do it, in one process: each process would load Airflow anew,
which takes seconds. Roles are those of the option [fab] custom_roles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from evergreen.errors import StackError
from evergreen.loop import TRAINING_POOL
from evergreen.settings import Settings, load_settings
from evergreen.stack.deploy import facts


def build_commands(settings: Settings) -> list[list[str]]:
    """What follows the program's name `airflow`, command by command."""
    user, password = settings.airflow_user, settings.airflow_password.get_secret_value()
    names = ["--username", user, "--firstname", "Evergreen", "--lastname", "Administrator"]
    return [
        ["db", "migrate"],
        ["pools", "set", TRAINING_POOL, str(facts.TRAINING_POOL_SLOTS), facts.TRAINING_POOL_MEANING],
        # One that is there already is left as it is.
        [
            "users",
            "create",
            *names,
            "--role",
            "Admin",
            "--email",
            f"{user}@localhost",
            "--password",
            password,
        ],
        ["users", "reset-password", "--username", user, "--password", password],
    ]


def run_commands(commands: list[list[str]], run: Callable[[], object]) -> None:
    """Have `run`, the entry point of Airflow's command line, do each command. Raises StackError."""
    for command in commands:
        sys.argv = ["airflow", *command]
        try:
            run()
        except SystemExit as error:
            if error.code:
                raise StackError(
                    f"`airflow {' '.join(command[:2])}` failed: {error.code}",
                    hint="see above what Airflow says",
                ) from None


def main() -> int:
    """Run all commands; 0, or the error's exit code."""
    # Takes seconds, and no other module of this room needs it.
    from airflow.__main__ import main as run_airflow

    try:
        run_commands(build_commands(load_settings()), run_airflow)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
