"""Commands of operations: backups of the whole stack, and what is restored from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evergreen.cli.app import AsJson, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.settings import load_settings
from evergreen.stack.view import show_progress

with import_on_use(__name__):
    from evergreen.stack.backup import create, restore, view


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
    show_facts(backup.to_json(), as_json, lambda: view.render_backup(backup))


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
        restored = restore.restore_backup(backup, load_settings().home, replace=replace, progress=progress)
    show_facts(restored.to_json(), as_json, lambda: view.render_restored(restored))
