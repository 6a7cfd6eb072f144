"""Has the declaration on disk checked in a new process, and reads the outcome."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evergreen.serving.child_environment import build_child_environment
from evergreen.serving.following.refusal import DeclarationRefusal

_MODULE = "evergreen.serving.following.declaration_check"
# Loading takes a second or two. Code that runs longer when it is imported would also delay each worker.
_CHECK_SECONDS = 60.0


@dataclass(frozen=True)
class CheckedDeclaration:
    """The digest of the declaration on disk ("" if it cannot be loaded), and why it cannot be taken over."""

    declaration: str
    refusal: DeclarationRefusal | None = None


def check_declaration(held: str) -> CheckedDeclaration:
    """Check the declaration on disk in a new process. Raises nothing for a fault of the declaration."""
    with tempfile.TemporaryDirectory(prefix="evergreen-check-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", _MODULE, str(result), held]
        try:
            completion = subprocess.run(
                command,
                env=build_child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_CHECK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CheckedDeclaration(
                "",
                DeclarationRefusal(
                    f"the use case's code does not end within {_CHECK_SECONDS:g} seconds when it is imported",
                    hint="take out of its modules what runs long while they are imported",
                ),
            )
        try:
            return msgspec.json.decode(result.read_bytes(), type=CheckedDeclaration)
        except (OSError, msgspec.MsgspecError):
            last_line = completion.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            return CheckedDeclaration(
                "",
                DeclarationRefusal(
                    f"the use case's code ended the process that loaded it (code {completion.returncode})"
                    + (f": {last_line}" if last_line else ""),
                    hint="import the use case by hand to see why",
                ),
            )
