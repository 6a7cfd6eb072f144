"""A minute of every kind of request on the service of the running stack, headless (make load).

Prints a summary with charts; writes load.json, load.html, load.svg and locust's CSV files. Exits 1 when a
limit is broken, 2 when there is nothing to put load on. The requests go by the channel `probe`, so that they
are no traffic: nothing counts as drift, and no drawn outcome as the truth.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from evergreen.errors import EvergreenError, ServiceUnreachable
from evergreen.serving.calls.client import open_own_client
from evergreen.settings import Settings, load_settings
from evergreen.usecases import load_use_case
from load_tests.known_keys import write_known_keys
from load_tests.limits import Check, Limits
from load_tests.page import draw_run, render_run
from load_tests.report import Report, read_report
from load_tests.terminal import render_report

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "out"
_STOP_SECONDS = 10
_LIMIT_BROKEN = 1
_NOTHING_TO_LOAD = 2


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    parser.add_argument("--use-case", default="credit_score", help="whose service (%(default)s)")
    parser.add_argument("--url", default="", help="its address, where it is not the running stack's")
    parser.add_argument("--users", type=int, default=32, help="at the peak of the ramp (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="how long (%(default)s)")
    parser.add_argument("--behaviours", default="all", help="which users: see the locust file (%(default)s)")
    parser.add_argument(
        "--channel", choices=("probe", "online"), default="probe", help="online counts as traffic (probe)"
    )
    parser.add_argument(
        "--max-error-rate", type=float, default=0.0, help="share of requests that may fail (%(default)s)"
    )
    parser.add_argument(
        "--max-p95", type=float, default=250.0, help="ms that 95 %% of requests must keep (%(default)s)"
    )
    parser.add_argument(
        "--max-p99", type=float, default=1000.0, help="ms that 99 %% of requests must keep (%(default)s)"
    )
    parser.add_argument("--output", type=Path, default=OUT, help="the folder for what is written")
    arguments = parser.parse_args(words)
    for name in ("users", "seconds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def find_service(settings: Settings, use_case_name: str, url: str) -> str:
    """The address of a ready service. Raises ServiceUnreachable with what to do."""
    address = url or settings.service_urls.get(use_case_name, "")
    if not address:
        raise ServiceUnreachable(
            f"no service of {use_case_name} runs in the stack of {settings.home}",
            hint="`make demo` starts the stack and trains a first model; or name a service with --url",
        )
    with open_own_client(settings, address, timeout=5.0) as client:
        if not client.ready():
            raise ServiceUnreachable(
                f"the service of {use_case_name} at {address} is not ready",
                hint="see `evergreen status`; `evergreen up` starts the stack; or name a service with --url",
            )
    return address


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(words)
    console = Console(stderr=True)
    locust = shutil.which("locust", path=str(Path(sys.executable).parent))
    if locust is None:
        console.print("locust is not installed; `make setup` installs it (the extra `load`)")
        return _NOTHING_TO_LOAD
    try:
        settings = load_settings()
        use_case = load_use_case(arguments.use_case, settings)
        url = find_service(settings, use_case.name, arguments.url)
    except EvergreenError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return _NOTHING_TO_LOAD
    console.print(f"{arguments.seconds} s of up to {arguments.users} users on {use_case.name} at {url}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    prefix = arguments.output / "load"
    for old in arguments.output.glob("load_*.csv"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        keys = Path(folder) / "keys.json"
        # Of a service that is not the stack's the keys are not known.
        known = 0 if arguments.url else write_known_keys(settings, use_case, keys)
        command = build_command(locust, arguments, url, prefix, keys if known else None)
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    try:
        report = read_report(prefix)
    except OSError:
        # It ended before the test, in words, for example because of an unknown behaviour.
        console.print(done.stderr[-3000:], markup=False, highlight=False, soft_wrap=True)
        return _NOTHING_TO_LOAD
    limits = Limits(arguments.max_error_rate, arguments.max_p95, arguments.max_p99)
    checks = report.judge(limits)
    write_files(arguments, url, report, checks)
    Console().print(render_report(report, checks))
    console.print(f"written: {prefix}.json, .html, .svg and the CSV files of locust", highlight=False)
    return 0 if all(check.passed for check in checks) else _LIMIT_BROKEN


def build_command(
    locust: str, arguments: argparse.Namespace, url: str, prefix: Path, keys: Path | None
) -> list[str]:
    """The command line of locust, which runs as a process of its own."""
    return [
        *(locust, "-f", str(ROOT / "load_tests" / "locustfile.py"), "--headless", "--host", url),
        *("--use-case", arguments.use_case, "--channel", arguments.channel),
        *("--behaviours", arguments.behaviours, "--ramp", *(["--keys", str(keys)] if keys else [])),
        *("--users", str(arguments.users), "--run-time", f"{arguments.seconds}s"),
        *("--stop-timeout", str(_STOP_SECONDS)),
        *("--max-error-rate", str(arguments.max_error_rate)),
        *("--max-p95", str(arguments.max_p95), "--max-p99", str(arguments.max_p99)),
        *("--csv", str(prefix), "--csv-full-history"),
    ]


def write_files(arguments: argparse.Namespace, url: str, report: Report, checks: Sequence[Check]) -> None:
    """load.json, load.html and load.svg."""
    folder: Path = arguments.output
    now = datetime.now(UTC).replace(microsecond=0)
    facts = {
        "use_case": arguments.use_case,
        "url": url,
        "at": now.isoformat(),
        "users": arguments.users,
        "seconds": arguments.seconds,
        "behaviours": arguments.behaviours,
        "channel": arguments.channel,
        "limits": [{**asdict(check), "passed": check.passed} for check in checks],
    }
    text = json.dumps({**facts, **report.to_json()}, indent=2)
    (folder / "load.json").write_text(f"{text}\n", encoding="utf-8")
    intro = [
        f"{arguments.seconds} s of up to {arguments.users} users ({arguments.behaviours}) on {url},"
        f" {now:%Y-%m-%d %H:%M} UTC."
    ]
    page = render_run(f"Load on {arguments.use_case}", intro, report, checks)
    (folder / "load.html").write_text(page, encoding="utf-8")
    (folder / "load.svg").write_text(draw_run(report).to_svg(), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
