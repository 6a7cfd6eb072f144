"""`evergreen ledger`: who was champion when and why. `evergreen rollback`: back to a former champion."""

from __future__ import annotations

from typing import Annotated

import typer

from evergreen.cli.app import AsJson, UseCaseName, app, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.store import DefaultListGroup
from evergreen.cli.tables.registry_tables import (
    ChampionsAt,
    LedgerPage,
    render_champions_at,
    render_ledger,
    render_rollback,
)
from evergreen.errors import RegistryError
from evergreen.moments import parse_moment
from evergreen.settings import load_settings
from evergreen.usecases import load_use_case

with import_on_use(__name__):
    from evergreen.loop.deployment import rollback
    from evergreen.registry import champion_history, ledger_rights, reconcile
    from evergreen.registry import ledger as ledger_lines
    from evergreen.store.connection import database
    from evergreen.store.migrations import migrations

_UNPROTECTED_WARNING = (
    "Warning: MariaDB lets the platform's own user change or delete lines of this ledger, or number and date"
    " them as it likes. It needs SELECT, and INSERT into the other columns: let an administrator grant those"
    " and no others, as sql/admin/ledger.sql does (run it again where an earlier Evergreen made the ledger)."
)

ledger = typer.Typer(
    cls=DefaultListGroup,
    no_args_is_help=True,
    subcommand_metavar="[at TIME] USE_CASE",
    help="Who became champion of a use case, when, instead of whom and why; `ledger at`: who was champion"
    " then.\n\nExamples: `evergreen ledger credit_score` · `evergreen ledger at 2026-07-01T06:30`",
)
app.add_typer(ledger, name="ledger")


@ledger.command("list", short_help="The lines of USE_CASE; the word `list` may be left out.")
def list_ledger_lines(
    use_case_name: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="How many lines, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Promotions, rejections, rollbacks, trials, versions that a service refused, and champions set by hand
    in MLflow, which are noticed here too.

    What the gate warned of is counted, and told in the reason.

    A line that was not written when it says it happened shows both moments; in --json: `at`, `recorded_at`
    and `misdated`.

    Examples: `evergreen ledger credit_score` · `evergreen ledger credit_score --json | jq .lines[0].verdict`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    engine = database.get_engine(settings)
    migrations.apply_migrations(engine)
    warnings = []
    try:
        reconcile.reconcile_ledger(settings, engine, use_case_name, seconds=5.0)
    except RegistryError as error:
        warnings.append(f"Not compared with MLflow's champion: {error.message}")
    protected = ledger_rights.is_ledger_protected(engine)
    if not protected:
        warnings.append(_UNPROTECTED_WARNING)
    lines = ledger_lines.read_entries(engine, use_case_name, limit)
    page = LedgerPage(use_case_name, protected, tuple(warnings), tuple(lines))
    show_facts(page.to_json(), as_json, lambda: render_ledger(page))


@ledger.command("at")
def show_champions_at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO; UTC unless it carries an offset.")],
    as_json: AsJson = False,
) -> None:
    """Which version served each use case at TIME, since when, and by whose hand.

    A line that is dated back counts from when MariaDB recorded it: it changes no past answer, and is shown
    beside it.

    Example: `evergreen ledger at 2026-07-01T06:30:00`
    """
    at = parse_moment(time)
    engine = database.get_engine(load_settings())
    migrations.apply_migrations(engine)
    champions = ChampionsAt(
        at,
        lines=tuple(line for _, line in sorted(champion_history.read_champions_at(engine, at).items())),
        written_later=tuple(champion_history.read_backdated_entries(engine, at)),
    )
    show_facts(champions.to_json(), as_json, lambda: render_champions_at(champions))


@app.command("rollback")
def roll_back(
    use_case_name: UseCaseName,
    to: Annotated[
        int | None,
        typer.Option(min=1, metavar="VERSION", help="A version that was champion. Default: the former one."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger for good.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a former champion champion again; the running service follows within seconds.

    Its model must still load and fit the declaration. The ledger keeps who did it and why.

    Examples: `evergreen rollback credit_score --reason "complaints since noon"` ·
    `evergreen rollback credit_score --to 3`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    with err.status(f"rolling back {use_case_name}"):
        migrations.apply_migrations(database.get_engine(settings))
        report = rollback.roll_back_champion(settings, use_case_name, to, reason=reason)
    show_facts(report.to_json(), as_json, lambda: render_rollback(report))
