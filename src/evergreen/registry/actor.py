"""Who stands in the ledger: the account of a command line, and the platform itself."""

from __future__ import annotations

import os
import platform
import pwd

# Who stands in the ledger for what no person did: the deployment of a champion or a trial, and an approval
# that nobody answered in time.
DEPLOY = "deploy"
NOBODY = "airflow: nobody"

# The length of the ledger's column `actor`.
_MAXIMUM_LENGTH = 255


def identify_actor() -> str:
    """The account that runs this process: `user@host`, or `root@host (sudo by ann)`.

    It is the kernel's user id; $LOGNAME and $USER are not used, because anybody can set them. $SUDO_UID is
    used for root only, who could insert any line anyway. A user id without a name, as in containers, becomes
    `uid-10001@host`.
    """
    user_id = os.getuid()
    actor = f"{_read_user_name(user_id)}@{platform.node() or 'unknown'}"
    sudo_uid = os.environ.get("SUDO_UID", "")
    if user_id == 0 and sudo_uid.isdecimal() and int(sudo_uid) != 0:
        actor += f" (sudo by {_read_user_name(int(sudo_uid))})"
    return actor[:_MAXIMUM_LENGTH]


def _read_user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except (KeyError, OverflowError):
        return f"uid-{user_id}"
