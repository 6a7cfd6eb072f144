"""The registry: the ledger of who was champion when and why, and going back to a former champion."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from evergreen.cli.app import AsJson, UseCaseName, app, err, show
from evergreen.cli.store import OneOrMore
from evergreen.errors import RegistryError
from evergreen.settings import load_settings

_UNPROTECTED = (
    "Warning: MariaDB lets the platform's own user change or delete lines of this ledger, or number and date"
    " them as it likes. It needs SELECT, and INSERT into the other columns: let an administrator grant those"
    " and no others, as sql/admin/ledger.sql does (run it again where an earlier Evergreen made the ledger)."
)

ledger = typer.Typer(
    cls=OneOrMore,
    no_args_is_help=True,
    subcommand_metavar="[at TIME] USE_CASE",
    help="Who became champion of a use case, when, instead of whom and why; `ledger at`: who was champion"
    " then.\n\nExamples: `evergreen ledger credit_score` · `evergreen ledger at 2026-07-01T06:30`",
)
app.add_typer(ledger, name="ledger")


@ledger.command("list", short_help="The lines of USE_CASE; the word `list` may be left out.")
def list_lines(
    use_case: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="How many lines, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Promotions, rejections, rollbacks, and champions set by hand in MLflow, which are noticed here too.

    What the gate warned of is counted, and told in the reason.

    A line that was not written when it says it happened shows both moments; in --json: `at`, `recorded_at`
    and `misdated`.

    Examples: `evergreen ledger credit_score` · `evergreen ledger credit_score --json | jq .lines[0].verdict`
    """
    from evergreen.cli.registry_tables import ledger_view
    from evergreen.registry.ledger import entries
    from evergreen.registry.ledger_rights import protected
    from evergreen.registry.reconcile import reconcile
    from evergreen.store.connection.database import engine
    from evergreen.store.tables.migrations import migrate
    from evergreen.usecases import load

    settings = load_settings()
    load(use_case, settings)
    database = engine(settings)
    migrate(database)
    warnings = []
    try:
        reconcile(settings, database, use_case, seconds=5.0)
    except RegistryError as error:
        warnings.append(f"Not compared with MLflow's champion: {error.message}")
    safe = protected(database)
    if not safe:
        warnings.append(_UNPROTECTED)
    lines = [
        {**asdict(line), "warnings": line.warnings, "misdated": line.misdated}
        for line in entries(database, use_case, limit)
    ]
    facts = {"use_case": use_case, "protected": safe, "warnings": warnings, "lines": lines}
    show(facts, as_json, lambda: ledger_view(facts))


@ledger.command("at")
def served_then(
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO; UTC unless it carries an offset.")],
    as_json: AsJson = False,
) -> None:
    """Which version served each use case at TIME, since when, and by whose hand.

    A line that is dated back counts from when MariaDB recorded it: it changes no past answer, and is shown
    beside it.

    Example: `evergreen ledger at 2026-07-01T06:30:00`
    """
    from evergreen.cli.registry_tables import served_view
    from evergreen.moments import parse_moment
    from evergreen.registry.ledger import served_at, written_later
    from evergreen.store.connection.database import engine
    from evergreen.store.tables.migrations import migrate

    at = parse_moment(time)
    database = engine(load_settings())
    migrate(database)
    served: list[dict[str, Any]] = [
        {
            "use_case": name,
            "version": line.to_version,
            "since": line.since,
            **{field: getattr(line, field) for field in ("action", "actor", "reason")},
        }
        for name, line in sorted(served_at(database, at).items())
    ]
    facts = {
        "at": at,
        "served": served,
        "written_later": [asdict(line) for line in written_later(database, at)],
    }
    show(facts, as_json, lambda: served_view(facts))


@app.command()
def rollback(
    use_case: UseCaseName,
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
    from evergreen.cli.registry_tables import rollback_view
    from evergreen.loop.rollback import rollback as roll_back
    from evergreen.store.connection.database import engine
    from evergreen.store.tables.migrations import migrate
    from evergreen.usecases import load

    settings = load_settings()
    load(use_case, settings)
    with err.status(f"rolling back {use_case}"):
        migrate(engine(settings))
        facts = {"use_case": use_case, **roll_back(settings, use_case, to, reason=reason)}
    show(facts, as_json, lambda: rollback_view(facts))
