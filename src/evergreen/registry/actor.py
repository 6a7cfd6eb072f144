"""Whose hand was it? Who stands in the ledger for what is done from a command line."""

from __future__ import annotations

import getpass
import platform

# What the ledger's column holds.
_LONGEST = 255


def whoever() -> str:
    """The person at this machine, as far as it knows: user@host. A container's user may have no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"[:_LONGEST]
