"""`python -m benchmarks.serving.load PLAN`: run a plan, say "measured" at its end, then write the figures.

SIGTERM ends the round early: what is under way is waited for, and the figures are written as usual.
"""

from __future__ import annotations

import gc
import json
import re
import signal
import sys
from pathlib import Path

from benchmarks.serving.load.loops import Ending, run_plan
from benchmarks.serving.load.plan import Plan

_ID = re.compile(rb'"prediction_id":\s*"([0-9a-f-]{36})"')


def _report_end() -> None:
    sys.stdout.write("measured\n")
    sys.stdout.flush()


def main() -> int:
    plan = Plan.read(Path(sys.argv[1]))
    # Nothing here makes cycles, and a collection would stand in the latencies.
    gc.disable()
    ending = Ending()
    signal.signal(signal.SIGTERM, lambda *_: ending.ask())
    try:
        done = run_plan(plan, _report_end, ending)
    except OSError as error:
        sys.stderr.write(f"the load on {plan.host}:{plan.port}{plan.path} ended: {error}\n")
        return 1
    # The interpreter gives up its handlers before it ends: a late SIGTERM would spoil a round that is whole.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if plan.ids:
        ids = [found for body in done.bodies for found in _ID.findall(body)]
        Path(plan.ids).write_bytes(b"\n".join(ids))
    if plan.answers:
        Path(plan.answers).write_bytes(b"\n".join(done.bodies))
    Path(plan.result).write_text(json.dumps(done.figures.to_json()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
