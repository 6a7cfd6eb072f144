"""`evergreen keys`: the API keys by which people and programs sign in at the prediction services."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from evergreen.cli.app import AsJson, add_command_group, err, out, print_json, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.settings import load_settings

with import_on_use(__name__):
    from evergreen.serving.access import api_keys, key_file
    from evergreen.stack import view

keys = add_command_group(
    "keys",
    "The API keys of the prediction services, kept in a file by their digests. Services follow it"
    " within a second.\n\nExamples: `evergreen keys new shop` · `evergreen keys list` ·"
    " `evergreen keys revoke shop`",
)


@keys.command("new")
def make_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it: letters, digits, _ . -")],
    as_json: AsJson = False,
) -> None:
    """Make a key for NAME and print it: it is shown once and kept nowhere. NAME may have several.

    From the first key on, services ask every caller for one, also on this machine. To change a key, make a
    second one, hand it out, and revoke the first one by its fingerprint.

    Example: `evergreen keys new shop`
    """
    path = load_settings().api_keys_path
    is_first = not key_file.read_key_file(path)
    secret = key_file.add_key(path, name)
    fingerprint = api_keys.parse_keys(secret, "the new key")[0].fingerprint
    if as_json:
        print_json({"name": name, "key": secret, "fingerprint": fingerprint, "file": str(path)})
        return
    # The key alone on standard output, for a pipe into a store of secrets.
    out.print(secret, highlight=False, soft_wrap=True)
    first = " Services now ask every caller for a key." if is_first else ""
    err.print(
        Text(f"Key {fingerprint} of {name}, shown this once. Callers send: Authorization: Bearer KEY.{first}")
    )


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys of the file: name, fingerprint and date. Those of EVERGREEN_API_KEYS are where it is set.

    Example: `evergreen keys list`
    """
    path = load_settings().api_keys_path
    facts = [
        {"name": each.key.name, "fingerprint": each.key.fingerprint, "made_at": each.made_at}
        for each in key_file.read_key_file(path)
    ]

    def render() -> Table | Text:
        """The table, or the hint in its place."""
        if not facts:
            return Text(f"{path} has no key. Make one with: evergreen keys new NAME")
        table: Table = view.build_grid("name", "fingerprint", "made")
        for fact in facts:
            table.add_row(fact["name"], fact["fingerprint"], view.shorten_moment(fact["made_at"] or None))
        return table

    show_facts(facts, as_json, render)


@keys.command("revoke")
def revoke_keys(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or the fingerprint of one key.")],
    as_json: AsJson = False,
) -> None:
    """Remove every key of NAME, or the one with that fingerprint. Services refuse it within a second.

    Examples: `evergreen keys revoke shop` · `evergreen keys revoke 1f0c9a3e`
    """
    path = load_settings().api_keys_path
    removed = key_file.remove_keys(path, name)
    facts = [{"name": each.key.name, "fingerprint": each.key.fingerprint} for each in removed]
    left = len(key_file.read_key_file(path))
    note = "" if left else " None is left: on loopback services ask for none again."
    listing = ", ".join(f"{fact['fingerprint']} of {fact['name']}" for fact in facts)
    show_facts(facts, as_json, lambda: Text(f"Revoked {listing}.{note}"))
