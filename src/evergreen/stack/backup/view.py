"""A backup and a restored home as text for people."""

from __future__ import annotations

from rich.table import Table

from evergreen.stack.backup.create import Backup
from evergreen.stack.backup.manifest import Manifest
from evergreen.stack.backup.restore import Restored
from evergreen.stack.view import render_outcome


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


def render_restored(restored: Restored) -> Table:
    """What the home holds now, and what to do next."""
    former = {"former home": f"kept as {restored.former}; remove it when you need it no more"}
    return render_outcome(
        {
            "home": str(restored.home),
            "backup": str(restored.backup),
            **_describe_content(restored.manifest),
            **(former if restored.former else {}),
            "next": "evergreen up",
        }
    )


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
