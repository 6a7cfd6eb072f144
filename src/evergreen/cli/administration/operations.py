"""Commands of operations: backups of the whole stack, what is restored from them, the end of a use case, and
migrations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evergreen.cli.app import AsJson, UseCaseName, app, err, out, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.operations_tables import (
    render_backup,
    render_drop_plan,
    render_drop_result,
    render_migrations,
    render_restored_home,
)
from evergreen.errors import SettingsError
from evergreen.settings import load_settings
from evergreen.stack.view import show_progress
from evergreen.usecases import load_use_case, load_valid_use_cases

with import_on_use(__name__):
    from evergreen.stack.backup import create, drop, restore
    from evergreen.store.connection import database
    from evergreen.store.migrations import migrate_generated, migrations, plan

_MODEL_ENDS = ("archive", "delete")


@app.command("backup")
def back_up(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where backups are kept; each is a new folder in it. Default: HOME-backups."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a backup of the whole stack on this machine: MariaDB with its history, MLflow's and Airflow's
    databases, models, keys.

    Works while the stack runs, and while it is down. The backup is a folder that only you may read; it holds
    the stack's passwords. An interrupted backup leaves none.

    Examples: `evergreen backup` · `evergreen backup /mnt/backups --json | jq -r .folder`
    """
    with show_progress(err) as progress:
        backup = create.create_backup(load_settings().home, folder, progress)
    show_facts(backup.to_json(), as_json, lambda: render_backup(backup))


@app.command("restore")
def restore_stack(
    backup: Annotated[Path, typer.Argument(help="A folder that `evergreen backup` has written.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Also where there is a stack; it is kept under another name."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a backup the stack of EVERGREEN_HOME, which must hold none. `evergreen up` then starts it.

    The whole backup is verified first. The new home takes its place at the end, complete, or not at all.

    Examples: `evergreen restore .evergreen-backups/evergreen-20261130T171530.123456Z` ·
    `EVERGREEN_HOME=/srv/second evergreen restore /mnt/backups/evergreen-20261130T171530.123456Z`
    """
    with show_progress(err) as progress:
        result = restore.restore_backup(backup, load_settings().home, replace=replace, progress=progress)
    show_facts(result.to_json(), as_json, lambda: render_restored_home(result))


@app.command("drop")
def drop_use_case(
    use_case_name: UseCaseName,
    models: Annotated[
        str,
        typer.Option(help="archive: versions and runs stay, none is champion; delete: they go, too."),
    ] = "archive",
    backups: Annotated[
        Path | None, typer.Option(help="Where the backup goes. Default: HOME-backups.")
    ] = None,
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="Take none; in containers, where this command cannot.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop a use case's tables, records and spool, after a backup of everything. Lines of the ledger stay.

    Asks for the name to be typed. The declaration may be gone. Refused while its service answers or one of
    its DAGs runs; a stack that is down can be dropped from as well.

    Examples: `evergreen drop credit_score` · `evergreen drop old_case --models delete --yes`
    """
    if models not in _MODEL_ENDS:
        raise SettingsError(f"--models {models}: it is one of {', '.join(_MODEL_ENDS)}")
    home = load_settings().home
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError("nobody can be asked: the input is no terminal", hint="in scripts add --yes")
        out.print(render_drop_plan(drop.plan_drop(home, use_case_name), models))
        if typer.prompt(f"Type {use_case_name} to drop it") != use_case_name:
            err.print("Nothing was dropped.")
            raise typer.Exit(1)
    with show_progress(err) as progress:
        result = drop.drop_use_case(
            home,
            use_case_name,
            models="delete" if models == "delete" else "archive",
            backups=backups,
            without_backup=without_backup,
            progress=progress,
        )
    show_facts(result.to_json(), as_json, lambda: render_drop_result(result))


@app.command("migrate")
def migrate_tables(
    use_case_names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[USE_CASE]...", help="Whose tables, beside the platform's. Default: all."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what each migration would do, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the tables up to the installed version: the platform's own, and the platform's columns of each
    use case's.

    `evergreen up`, ingests and services do so by themselves; this does it at a time of your choice, or shows
    it before. Readers and writers go on meanwhile. There is no way back but a backup.

    Examples: `evergreen migrate --dry-run` · `evergreen migrate credit_score --json`
    """
    settings = load_settings()
    if use_case_names:
        use_cases = [load_use_case(name, settings) for name in use_case_names]
    else:
        valid, errors = load_valid_use_cases(settings)
        use_cases = list(valid.values())
        for error in errors.values():
            err.print(f"Left out: {error.message}", highlight=False, markup=False)
    engine = database.get_engine(settings)
    pending_migrations = plan.plan_migrations(engine, use_cases)
    if not dry_run and pending_migrations:
        with err.status("migrating"):
            migrations.apply_migrations(engine)
            for use_case in use_cases:
                migrate_generated.migrate_generated_tables(engine, use_case)
    facts = {"applied": not dry_run, "migrations": [each.to_json() for each in pending_migrations]}
    show_facts(facts, as_json, lambda: render_migrations(pending_migrations, dry_run=dry_run))
