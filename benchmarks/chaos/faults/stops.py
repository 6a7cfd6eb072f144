"""SIGTERM under load."""

from __future__ import annotations

import random
import time

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.stand import Stand

# The supervisor and compose give a service half a minute.
_MOST_SECONDS = 30.0


def stop_services(stand: Stand, size: Size, report: Report) -> None:
    draw = random.Random(size.seed)
    ids: list[str] = []
    unread = farewells = 0
    slowest = 0.0
    for number in range(size.stops):
        # By turns connections that mostly wait for the next request, and such that are always busy.
        rate = size.rate if number % 2 == 0 else 0.0
        with stand.run_service("stopped") as service:
            with stand.run_load(service, rate=rate, until_gone=True) as load:
                time.sleep(draw.uniform(*size.kill_after))
                service.ask_to_end()
                slowest = max(slowest, service.await_end())
            assert load.figures is not None
            report.failed += load.failed - load.figures.unread
            if load.failed > load.figures.unread:
                report.facts["first_fault"] = load.figures.fault
            unread += load.figures.unread
            farewells += load.figures.farewells
            ids += load.ids
    stand.reconcile(report, ids)
    report.facts |= {"stops": size.stops, "unread_requests": unread}
    report.require_at_least("connection_close", farewells, size.stops)
    report.require_at_most("end_seconds", round(slowest, 1), _MOST_SECONDS)
    report.judge_counts()


FAULT = Fault(
    "service_stopped",
    "SIGTERM under load: nothing acknowledged is lost, no request that was read is cut, "
    "keep-alive connections get `Connection: close`",
    stop_services,
)
