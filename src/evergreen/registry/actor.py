"""Whose hand was it? Who stands in the ledger for what is done from a command line."""

from __future__ import annotations

import os
import platform
import pwd

# What the ledger's column holds.
_MAXIMUM_LENGTH = 255


def identify_actor() -> str:
    """The account that runs this process, as the kernel knows it: user@host, `root@host (sudo by ann)`.

    $LOGNAME and $USER say whatever their owner likes. $SUDO_UID is believed of root alone, who could write
    any line as anybody. A container's user may have no name: then it is uid-10001@host.
    """
    user = os.getuid()
    actor = f"{_read_user_name(user)}@{platform.node() or 'unknown'}"
    before = os.environ.get("SUDO_UID", "")
    if user == 0 and before.isdecimal() and int(before) != 0:
        actor += f" (sudo by {_read_user_name(int(before))})"
    return actor[:_MAXIMUM_LENGTH]


def _read_user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):
        return f"uid-{user}"
