"""Commands of the feature store: its features, its tables, its ingest runs and its training sets."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from evergreen.cli.app import AsJson, UseCaseName, add_command_group, app, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.cli.tables.store_tables import (
    render_changes,
    render_dataset,
    render_datasets,
    render_features,
    render_ingest_run,
    render_ingest_runs,
    render_online_features,
)
from evergreen.errors import StoreError
from evergreen.settings import Settings, load_settings
from evergreen.usecases import load_use_case

with import_on_use(__name__):
    from evergreen.ingest.loading import quarantine
    from evergreen.monitoring.counts import proof
    from evergreen.store.connection import database
    from evergreen.store.history import recorded_set
    from evergreen.store.migrations import migrations
    from evergreen.store.records import feature_list, ingest_lock, ingest_run
    from evergreen.store.tables import compare, evolve
    from evergreen.workbench import online_lookup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from evergreen.store.records.ingest_run import IngestRun
    from evergreen.usecase import UseCase

# A run is looked up by the beginning of its id among so many of the last ones.
_INGEST_SEARCH_LIMIT = 10_000

RunId = Annotated[
    str, typer.Argument(metavar="RUN_ID", help="A training run's id or its MLflow run's, or its beginning.")
]


class DefaultListGroup(TyperGroup):
    """A command group whose subcommand `list` may be left out: `features X` is `features list X`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before arguments that begin with no subcommand."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["list", *args]
        return super().parse_args(ctx, args)


features = typer.Typer(
    cls=DefaultListGroup,
    no_args_is_help=True,
    subcommand_metavar="[diff] USE_CASE",
    help="What the feature store knows of a use case; `features diff`: how its tables differ from the"
    " declaration.\n\nExamples: `evergreen features credit_score` · `evergreen features diff credit_score`",
)
app.add_typer(features, name="features", rich_help_panel=None)


@features.command("list", short_help="The features of USE_CASE; the word `list` may be left out.")
def list_features(use_case_name: UseCaseName, as_json: AsJson = False) -> None:
    """Entity, feature views, features and feature sets: types, meanings, freshness, null rates, row counts.

    Examples: `evergreen features credit_score` · `evergreen features credit_score --json | jq .views[0].rows`
    """
    settings = load_settings()
    described = feature_list.describe_features(
        database.get_engine(settings), load_use_case(use_case_name, settings)
    )
    show_facts(described.to_json(), as_json, lambda: render_features(described))


@app.command("get-online-features")
def get_online_features(
    use_case_name: UseCaseName,
    keys: Annotated[
        list[str],
        typer.Option("--key", "-k", help="A key, or NAME=VALUE,NAME=VALUE for several columns; repeatable."),
    ],
    feature_set: Annotated[
        str | None, typer.Option("--feature-set", help="Only the features of that set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What the online store holds of some keys now: what `/predict_by_key` predicts from.

    A view that has no row of a key, or only one older than its `max_age`, is named; its features are missing.

    Examples: `evergreen get-online-features credit_score --key 17 --key 18` ·
    `evergreen get-online-features credit_score -k 17 --feature-set scorecard --json`
    """
    settings = load_settings()
    use_case = load_use_case(use_case_name, settings)
    rows = online_lookup.look_up_features(
        database.get_engine(settings),
        use_case,
        [online_lookup.parse_key(use_case, key) for key in keys],
        feature_set,
    )
    show_facts([row.to_json() for row in rows], as_json, lambda: render_online_features(rows))


@features.command("diff")
def diff_features(use_case_name: UseCaseName, as_json: AsJson = False) -> None:
    """How the declaration differs from the tables, and so what `evergreen apply` would do. Changes nothing.

    Example: `evergreen features diff credit_score`
    """
    settings = load_settings()
    changes = evolve.diff_tables(database.get_engine(settings), load_use_case(use_case_name, settings))
    facts = [asdict(change) for change in changes]
    nothing = f"The tables of {use_case_name} are as it declares them."
    remedy = compare.describe_remedy(use_case_name, changes) if changes else ""
    next_step = f"{remedy[:1].upper()}{remedy[1:]}"
    show_facts(facts, as_json, lambda: render_changes(changes, next_step) if facts else nothing)


@app.command("counts")
def check_counts(
    use_case_name: UseCaseName,
    days: Annotated[int, typer.Option(min=1, help="How many days back.")] = 7,
    mend: Annotated[
        bool, typer.Option("--mend", help="Make them so, such as after rows were deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Whether the counts that drift is measured by are those of the prediction log, counted anew.

    Examples: `evergreen counts credit_score` · `evergreen counts credit_score --days 30 --mend`
    """
    settings = load_settings()
    engine, use_case = database.get_engine(settings), load_use_case(use_case_name, settings)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = end - timedelta(days=days)
    if mend:
        proof.mend_all_counts(engine, use_case, start, end)
    proofs = proof.prove_counts(engine, use_case, start, end)
    show_facts([each.to_json() for each in proofs], as_json, lambda: _describe_proofs(proofs))
    if not all(each.equal for each in proofs):
        raise typer.Exit(1)


@app.command("apply")
def apply_tables(
    use_case_name: UseCaseName,
    allow_destructive: Annotated[
        bool,
        typer.Option(
            "--allow-destructive",
            help="Also drop and retype columns. Their values are put aside, and past training sets"
            " can still be reproduced.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the tables what the declaration says: new features, and with leave dropped and retyped ones.

    Safe to run again after any interruption. See first what it would do: `evergreen features diff USE_CASE`.

    Examples: `evergreen apply credit_score` · `evergreen apply credit_score --allow-destructive`
    """
    settings = load_settings()
    changes = evolve.apply_declaration(
        database.get_engine(settings),
        load_use_case(use_case_name, settings),
        allow_destructive=allow_destructive,
    )
    facts = [asdict(change) for change in changes]
    next_step = "Done. A running service takes the declaration over within seconds: evergreen status shows it"
    nothing = f"The tables of {use_case_name} are as it declares them: nothing to do."
    show_facts(facts, as_json, lambda: render_changes(changes, next_step) if facts else nothing)


@app.command("ingest-runs")
def show_ingest_runs(
    use_case_name: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, or rejected rows, to show.")] = 20,
    run: Annotated[
        str,
        typer.Option(
            metavar="ID", help="One run, by its id or the beginning of it: inputs, report, rejected rows."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """The ingests of a use case, newest first: what was read, loaded and rejected, and what the checks said.

    `interrupted`: the process was ended before it loaded anything. The same command again does it
    all.

    Examples: `evergreen ingest-runs credit_score --limit 5` ·
    `evergreen ingest-runs titanic --run 7d8c16a0`
    """
    settings = load_settings()
    use_case, engine = load_use_case(use_case_name, settings), _open_store(settings)
    if not run:
        runs = ingest_run.list_ingests(engine, use_case, limit)
        interrupted = ingest_lock.find_interrupted_runs(engine, runs)
        lines = [
            asdict(each) | ({"status": "interrupted"} if each.id in interrupted else {}) for each in runs
        ]
        nothing = f"Nothing was ingested yet: evergreen run ingest {use_case_name}"
        show_facts(lines, as_json, lambda: render_ingest_runs(lines) if lines else nothing)
        return
    one = _find_ingest_by_prefix(engine, use_case, run)
    facts = {**asdict(one), "quarantine": quarantine.read_rejected_rows(engine, one.id, limit=limit)}
    if ingest_lock.find_interrupted_runs(engine, [one]):
        facts["status"] = "interrupted"
    show_facts(facts, as_json, lambda: render_ingest_run(facts))


def _open_store(settings: Settings) -> Engine:
    """The feature store's database, with the platform's own tables up to date."""
    engine = database.get_engine(settings)
    migrations.apply_migrations(engine)
    return engine


def _find_ingest_by_prefix(engine: Engine, use_case: UseCase, run: str) -> IngestRun:
    """The use case's run of that id, or whose id begins so. Raises StoreError unless there is exactly one."""
    one = ingest_run.find_ingest(engine, run)
    if one is not None and one.use_case == use_case.name:
        return one
    matches = [
        each
        for each in ingest_run.list_ingests(engine, use_case, _INGEST_SEARCH_LIMIT)
        if each.id.startswith(run)
    ]
    if len(matches) == 1:
        return matches[0]
    raise StoreError(
        f"{use_case.name} has {len(matches) or 'no'} ingest run{'s' * (len(matches) > 1)} {run!r}",
        hint=f"evergreen ingest-runs {use_case.name} lists the ids"
        + (": give more characters of it" if matches else ""),
    )


dataset = add_command_group(
    "dataset",
    "The training set of a run: what it was made of, and made again.\n\n"
    "Examples: `evergreen dataset list USE_CASE` · `evergreen dataset show RUN_ID` ·"
    " `evergreen dataset reproduce RUN_ID`",
)


@dataset.command("list")
def list_datasets(
    use_case_name: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The training runs of USE_CASE, with the ids that `show` and `reproduce` take.

    Example: `evergreen dataset list credit_score`
    """
    settings = load_settings()
    load_use_case(use_case_name, settings)
    entries = recorded_set.list_training_sets(_open_store(settings), use_case_name, limit)
    runs = [entry.to_json() for entry in entries]
    show_facts(runs, as_json, lambda: render_datasets(use_case_name, entries))


@dataset.command("show")
def show_dataset(run_id: RunId, as_json: AsJson = False) -> None:
    """The training set of a run: its query, its moments, its rows and its content's digest.

    Example: `evergreen dataset show RUN_ID`
    """
    facts = recorded_set.describe_training_set(_open_store(load_settings()), run_id).to_json()
    show_facts(facts, as_json, lambda: render_dataset(facts))


@dataset.command("reproduce")
def reproduce_dataset(run_id: RunId, as_json: AsJson = False) -> None:
    """Read the very same rows again, after whatever was corrected or deleted since, and compare digests.

    Exits 0 when they are the same, 5 when not.

    Example: `evergreen dataset reproduce RUN_ID`
    """
    facts = recorded_set.reproduce_training_set(_open_store(load_settings()), run_id).to_json()
    show_facts(facts, as_json, lambda: render_dataset(facts))
    if not facts["same"]:
        raise typer.Exit(StoreError.exit_code)


def _describe_proofs(proofs: Sequence[proof.CountsProof]) -> str:
    lines = [
        f"version {each.model_version}, {each.channel}: {each.rows:,} rows in {each.hours} hours,"
        f" {'counted as they are in the log' if each.equal else '; '.join(each.differences)}"
        for each in proofs
    ]
    return "\n".join(lines) or "no prediction was counted in these days"
