"""Load on a use case's prediction service, headless or in the web UI:

    locust -f load_tests/locustfile.py --use-case credit_score
    locust -f load_tests/locustfile.py --use-case titanic --headless -u 16 -r 16 -t 30s
    locust -f load_tests/locustfile.py --behaviours all --ramp --headless -u 32 -t 1m --max-p99 500

The requests follow from the use case: from its simulator where it has one, else drawn from its declared
domains. They count as traffic in the prediction log; `--channel probe` keeps them out of drift. The users are
those that `--behaviours` names (behaviours.py). A run that breaks a limit ends with exit code 1.
Run it in its own process: locust replaces Python's sockets by gevent's. `make load` does.
"""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

# Locust puts the folder of this file on the path, but not the one above it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evergreen.errors import EvergreenError
from evergreen.settings import load_settings
from evergreen.usecases import load_use_case
from load_tests.behaviours import (
    BEHAVIOURS,
    ByKey,
    Careless,
    Client,
    Explaining,
    ManyRows,
    OneRow,
    Reporting,
)
from load_tests.limits import Figures, Limits
from load_tests.request_data import build_requests, read_keys
from load_tests.shape import Ramp

# Locust takes the users among the names of this module.
__all__ = ["ByKey", "Careless", "Explaining", "ManyRows", "OneRow", "Reporting"]

logger = logging.getLogger(__name__)

_USUAL = ("single", "batch")


def parse_behaviours(text: str) -> list[str]:
    """Names of users from a list such as `single,batch`, or `all`. Raises ArgumentTypeError for others."""
    if text.strip() == "all":
        return list(BEHAVIOURS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BEHAVIOURS]:
        raise ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(BEHAVIOURS)}, all")
    if not names:
        raise ArgumentTypeError(f"names none of {', '.join(BEHAVIOURS)}, all")
    return names


@events.init_command_line_parser.add_listener
def _(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Evergreen")
    group.add_argument(
        "--use-case", env_var="EVERGREEN_USE_CASE", default="credit_score", help="whose requests to send"
    )
    group.add_argument("--channel", choices=["online", "probe"], default="online", help="probe is no traffic")
    group.add_argument("--seed", type=int, default=7, help="of the drawn requests")
    group.add_argument(
        "--behaviours",
        default=",".join(_USUAL),
        help=f"which users there are, of {', '.join(BEHAVIOURS)}; or all (default: {','.join(_USUAL)})",
    )
    group.add_argument("--keys", default="", help="a JSON file with keys that the online store holds")
    group.add_argument(
        "--ramp", action="store_true", help="rise to --users, hold, and fall within --run-time"
    )
    group.add_argument(
        "--max-error-rate", type=float, default=0.0, help="the share of requests that may fail (default: 0)"
    )
    group.add_argument("--max-p95", type=float, default=0.0, help="ms that 95 %% must keep; 0: no limit")
    group.add_argument("--max-p99", type=float, default=0.0, help="ms that 99 %% must keep; 0: no limit")


@events.test_start.add_listener
def _(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    keys = Path(options.keys) if options.keys else None
    Client.requests = build_requests(load_settings(), options.use_case, options.seed, keys)


@events.init.add_listener
def _(environment: Environment, **_: Any) -> None:
    """Fail before the test, in words, when an option is of no use; find the service, the users, the shape."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        settings = load_settings()
        load_use_case(options.use_case, settings)
        chosen = [BEHAVIOURS[name] for name in parse_behaviours(options.behaviours)]
        if options.keys:
            read_keys(Path(options.keys))
    except EvergreenError as error:
        raise SystemExit(str(error)) from None
    except ArgumentTypeError as error:
        raise SystemExit(f"--behaviours: {error}") from None
    except (OSError, ValueError) as error:
        raise SystemExit(f"--keys: {error}") from None
    # Users that the command line names (`locust ... OneRow ByKey`) are chosen already.
    if not options.user_classes:
        environment.user_classes = list(chosen)
    if not environment.host:
        environment.host = settings.service_urls.get(options.use_case, "http://127.0.0.1:3000")
    if options.ramp:
        environment.shape_class = Ramp()
        environment.shape_class.runner = environment.runner


@events.quitting.add_listener
def _(environment: Environment, **_: Any) -> None:
    """Judge the run by its limits. Without a limit on the share of errors locust's own rule stays."""
    options = environment.parsed_options
    if options is None or environment.runner is None:
        return
    total = environment.stats.total
    figures = Figures(
        total.num_requests,
        total.fail_ratio,
        total.get_response_time_percentile(0.95) or 0.0,
        total.get_response_time_percentile(0.99) or 0.0,
    )
    limits = Limits(options.max_error_rate, options.max_p95, options.max_p99)
    checks = limits.judge(figures)
    for check in checks:
        logger.log(logging.INFO if check.passed else logging.ERROR, "limit: %s", check.describe())
    if not all(check.passed for check in checks if check.name != "errors" or limits.error_rate > 0):
        environment.process_exit_code = 1
    elif limits.error_rate > 0 and not environment.runner.exceptions:
        environment.process_exit_code = 0
