"""`python -m evergreen.cli` is the command `evergreen`."""

from evergreen.cli import main

main()
