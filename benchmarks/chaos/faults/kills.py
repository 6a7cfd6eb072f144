"""SIGKILL of every process of the service at random moments under load."""

from __future__ import annotations

import random
import time

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.stand import Stand
from benchmarks.common.timing import say


def kill_services(stand: Stand, size: Size, report: Report) -> None:
    draw = random.Random(size.seed)
    ids: list[str] = []
    unanswered, killed = 0, []
    for number in range(size.kills):
        with stand.run_service("killed") as service:
            with stand.run_load(service, until_gone=True) as load:
                time.sleep(draw.uniform(*size.kill_after))
                killed.append(service.kill_all())
            unanswered += load.failed
            ids += load.ids
            say(f"    kill {number + 1} of {size.kills}: {killed[-1]} processes, {len(load.ids):,} answered")
    with stand.run_service("after") as service:
        stand.reconcile(report, ids)
        service.await_drained()
        log = service.read_metadata()["log"]
        report.require_at_most("spoilt", log["spoilt"], size.kills)
    report.facts |= {"kills": size.kills, "processes": killed, "cut_requests": unanswered}
    report.judge_counts()


FAULT = Fault(
    "service_killed",
    "SIGKILL of every process: each acknowledged prediction is in MariaDB exactly once",
    kill_services,
)
