"""Send generated requests to a prediction service, right and wrong ones, and check every answer. Exits 1 when
an answer is a 5xx or not as the service's own OpenAPI document says, or where too few requests were sent."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import result
from benchmarks.common.timing import say
from benchmarks.fuzz.campaign import Report, fuzz_service

CASES, QUICK_CASES = 5_000, 50
_OUTPUT = result.OUT / "fuzz.json"
_KEY_VARIABLE = "EVERGREEN_API_KEY"


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help=f"requests to each endpoint ({CASES:,})")
    parser.add_argument(
        "--quick", action="store_const", const=QUICK_CASES, dest="cases", help=f"the same with {QUICK_CASES}"
    )
    parser.add_argument(
        "--url",
        help=f"a running service, whose log the predictions go to, called with ${_KEY_VARIABLE} (else one of "
        "credit_score is started, with servers of its own)",
    )
    parser.add_argument("--seed", type=int, help="the same requests as another run (else drawn, and printed)")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help=f"where the JSON goes ({_OUTPUT.name})")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of a summary")
    arguments = parser.parse_args(words)
    if arguments.cases < 1:
        parser.error("--cases must be at least 1")
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().getrandbits(32)
    return arguments


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"seed {arguments.seed}")
    with _serve(arguments.url) as (url, known_keys):
        report = fuzz_service(
            url,
            arguments.cases,
            seed=arguments.seed,
            api_key=os.environ.get(_KEY_VARIABLE) if arguments.url else None,
            known_keys=known_keys,
            say=say,
        )
    passed = has_passed(report, arguments.cases)
    told = {**report.to_json(), "cases_per_endpoint": arguments.cases, "passed": passed}
    result.write(arguments.output, {**told, "machine": result.machine()})
    sys.stdout.write((json.dumps(told) if arguments.json else build_text(report)) + "\n")
    return 0 if passed else 1


def has_passed(report: Report, cases: int) -> bool:
    """Whether nothing was found, in as many requests as wanted to each endpoint."""
    is_complete = bool(report.cases) and min(report.cases.values()) >= cases
    return is_complete and not report.server_errors and not report.findings and not report.faults


def build_text(report: Report) -> str:
    """A line per endpoint, and what was found."""
    lines = []
    for call, count in sorted(report.cases.items()):
        statuses = sorted(report.statuses.get(call, {}).items())
        counts = ", ".join(f"{status or 'no answer'}: {number:,}" for status, number in statuses)
        lines.append(f"{call:<24} {count:>7,} requests   {counts}")
    lines.append(f"{sum(report.cases.values()):,} requests in {report.seconds:,.0f} s, seed {report.seed}")
    lines.append(report.describe() or "every answer is as documented, none is a 5xx")
    return "\n".join(lines)


@contextmanager
def _serve(url: str | None) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    """The address of the service, and keys that its online store holds."""
    if url:
        yield url.rstrip("/"), ()
        return
    # Here, because a service that runs already needs neither MariaDB's driver nor a model.
    from benchmarks.serving.champion import Budget
    from benchmarks.serving.variants import PLAIN, run_variant
    from benchmarks.serving.world import prepare_world

    small = Budget(customers=700, trials=2)
    result.OUT.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", dir=result.OUT) as folder,
        prepare_world(Path(folder), result.OUT / "champions", small) as world,
        run_variant(world, PLAIN) as contender,
    ):
        (key,) = world.use_case.entity.key_names
        keys = [{key: number} for number in range(1, len(world.rows) + 1)]
        yield f"http://127.0.0.1:{contender.port}", keys


if __name__ == "__main__":
    raise SystemExit(main())
