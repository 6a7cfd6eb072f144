"""The memory of a process and of all below it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure_tree_rss(root: int) -> int:
    """Bytes in memory of the process and its descendants, shared pages counted in each of them."""
    children: dict[int, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # After the name, which may hold spaces, in parentheses: state, parent.
            parent = int((folder / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()[1])
            sizes[int(folder.name)] = int((folder / "statm").read_text("utf-8").split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
        children[parent].append(int(folder.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += sizes.get(process, 0)
        waiting += children[process]
    return total
