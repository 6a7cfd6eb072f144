"""Requests that nobody should send, to every call of the service's own document."""

from __future__ import annotations

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.stand import Stand
from benchmarks.common.timing import say
from benchmarks.fuzz.campaign import fuzz_service


def fuzz_endpoints(stand: Stand, size: Size, report: Report) -> None:
    """The campaign of `benchmarks.fuzz`, which keeps no ids: nothing is said of what reaches MariaDB."""
    world = stand.world
    (key,) = world.use_case.entity.key_names
    keys = [{key: number} for number in range(1, len(world.rows) + 1)]
    with stand.run_service("fuzz") as service:
        campaign = fuzz_service(service.url, size.fuzz_cases, seed=size.seed, known_keys=keys, say=say)
        service.read_metadata()
    report.facts |= {"cases": dict(sorted(campaign.cases.items())), "seed": size.seed}
    report.require_at_least("endpoints", len(campaign.cases), 1)
    report.require_at_least("fewest_cases", min(campaign.cases.values(), default=0), size.fuzz_cases)
    report.require_at_most("server_errors", campaign.server_errors, 0)
    report.require_at_most("findings", len(campaign.findings), 0)
    report.broken += [campaign.describe()] if campaign.findings else []
    report.broken += campaign.faults


FAULT = Fault(
    "fuzz",
    "generated requests, right and wrong, to every endpoint: no 5xx, and each answer as documented",
    fuzz_endpoints,
)
