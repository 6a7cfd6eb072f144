"""`python -m evergreen.stack.deploy.secret_check NAME ...`: whether variables hold secrets nobody can guess.

Exits with 1 and the names of those that are empty, short, or made of the words of examples. Their values are
never printed. Standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

# `make env` writes 32 characters and more.
SHORTEST_SECRET = 16
_FEWEST_CHARACTERS = 8
# Random secrets are hexadecimal or base64: words of this length do not come about by chance.
_EXAMPLE_WORDS = ("change", "example", "password", "passwort", "secret", "evergreen", "default", "12345678")


def find_weak_secrets(variables: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """What is wrong with each of the named variables that somebody could guess, by name."""
    faults = {name: _describe_fault(variables.get(name, "")) for name in names}
    return {name: fault for name, fault in faults.items() if fault}


def _describe_fault(secret: str) -> str:
    if not secret:
        return "is empty"
    if len(secret) < SHORTEST_SECRET:
        return f"has fewer than {SHORTEST_SECRET} characters"
    if len(set(secret)) < _FEWEST_CHARACTERS:
        return "repeats few characters"
    if any(word in secret.lower() for word in _EXAMPLE_WORDS):
        return "looks like one of an example"
    return ""


def main(names: Sequence[str]) -> int:
    """Check the named variables of the environment; 0, or 1 with the faults on standard error."""
    faults = find_weak_secrets(os.environ, names)
    for name, fault in faults.items():
        sys.stderr.write(f"{name} {fault}\n")
    if faults:
        sys.stderr.write("Take these lines out of .env and run `make env`, which writes random ones.\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
