"""How backups, restored homes, dropped use cases and migrations are shown in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.stack.view import build_grid, render_outcome

if TYPE_CHECKING:
    from evergreen.stack.backup.create import Backup
    from evergreen.stack.backup.drop import DropPlan, DropResult
    from evergreen.stack.backup.manifest import Manifest
    from evergreen.stack.backup.restore import RestoredHome
    from evergreen.store.migrations.plan import PlannedMigration


def render_backup(backup: Backup) -> Table:
    """What was written, and what to do with it."""
    return render_outcome(
        {
            "backup": str(backup.folder),
            "of": f"{backup.manifest.home}, {'running' if backup.manifest.was_running else 'stopped'}",
            **_describe_content(backup.manifest),
            "secrets": "it holds the stack's passwords and keys, readable by you alone: keep it so",
            "to restore": f"evergreen restore {backup.folder}",
        }
    )


def render_restored_home(result: RestoredHome) -> Table:
    """What the home holds now, and what to do next."""
    former = {"former home": f"kept as {result.former}; remove it when you need it no more"}
    return render_outcome(
        {
            "home": str(result.home),
            "backup": str(result.backup),
            **_describe_content(result.manifest),
            **(former if result.former else {}),
            "next": "evergreen up",
        }
    )


def render_drop_plan(plan: DropPlan, models: str) -> Table:
    """What a drop would do."""
    return render_outcome(
        {
            "use case": plan.use_case_name,
            "tables": ", ".join(f"{name} (about {rows:,} rows)" for name, rows in plan.tables.items())
            or "none",
            "champion": f"v{plan.champion}" if plan.champion is not None else "none",
            f"versions to {models}": ", ".join(f"v{version}" for version in plan.versions) or "none",
            "ledger": "its lines stay",
        }
    )


def render_drop_result(result: DropResult) -> Table:
    """What was dropped, and what is left to do."""
    plan, backup = result.plan, result.backup
    declared = {"declaration": f"{plan.declaration} is still there: schedules begin anew. Remove the folder"}
    return render_outcome(
        {
            "dropped": plan.use_case_name,
            "tables": len(plan.tables),
            "models": f"{len(plan.versions)} {result.models}d",
            "backup": str(backup.folder) if backup else "none",
            **({"to take it back": f"evergreen restore {backup.folder} --replace"} if backup else {}),
            **(declared if plan.declaration else {}),
        }
    )


def render_migrations(migrations: Sequence[PlannedMigration], *, dry_run: bool) -> RenderableType:
    """`evergreen migrate`: the migrations, each with its steps, and whether they were applied."""
    if not migrations:
        return Text("The tables are those of this version: nothing to do.")
    table = build_grid("table", "migration", "what it does")
    for each in migrations:
        parts = [each.meaning, *(f"- {step}" for step in each.steps)]
        table.add_row(Text(each.subject), Text(each.name), Text("\n".join(filter(None, parts))))
    end = "Nothing was changed. Without --dry-run they are applied." if dry_run else "Applied."
    return Group(table, Text(f"\n{end}"))


def _describe_content(manifest: Manifest) -> dict[str, str]:
    champions = [
        f"{name} {f'v{state.champion}' if state.champion is not None else 'none'}"
        f" ({state.ledger_lines} lines in the ledger)"
        for name, state in manifest.use_cases.items()
        if state.ledger_lines
    ]
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    return {
        "moment": f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC",
        "size": f"{manifest.size / 1e6:,.1f} MB in {len(manifest.files):,} files",
        "champions": ", ".join(champions) or "none",
        "versions": versions,
    }
