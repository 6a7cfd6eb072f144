"""Runs in a peer's own environment, as a script: `worker.py NAME FOLDER`; tasks and answers are JSON lines.

NAME is that of a module NAME_worker beside this one, whose `Worker` is made of FOLDER; a task names one of
its methods. This module imports the standard library alone: nothing else is in every environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    name, folder = sys.argv[1:]
    # What the peer prints, already while it is imported, must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The folder of a script is where Python looks for modules first.
    worker = importlib.import_module(f"{name}_worker").Worker(Path(folder))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("task"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
