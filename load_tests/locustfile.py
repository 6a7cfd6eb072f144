"""Load on a use case's prediction service, headless or in the web UI:

    locust -f load_tests/locustfile.py --use-case credit_score
    locust -f load_tests/locustfile.py --use-case titanic --headless -u 16 -r 16 -t 30s

The requests follow from the use case: from its simulator where it has one, else drawn from its declared
domains. They count as traffic in the prediction log; `--channel probe` keeps them out of drift.
Run it in its own process: locust replaces Python's sockets by gevent's.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from typing import Any

from locust import FastHttpUser, between, events, task
from locust.env import Environment
from locust.exception import StopUser

from evergreen.errors import EvergreenError
from evergreen.serving.exchange import build_headers
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import load_settings
from evergreen.usecases import load_submodule, load_use_case

DRAWN = 2_000
BATCH = 100

_rows: list[dict[str, Any]] = []


@events.init_command_line_parser.add_listener
def _(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Evergreen")
    group.add_argument(
        "--use-case", env_var="EVERGREEN_USE_CASE", default="credit_score", help="whose requests to send"
    )
    group.add_argument("--channel", choices=["online", "probe"], default="online", help="probe is no traffic")
    group.add_argument("--seed", type=int, default=7, help="of the drawn requests")


@events.test_start.add_listener
def _(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    _rows[:] = requests_of(options.use_case, options.seed)


@events.init.add_listener
def _(environment: Environment, **_: Any) -> None:
    """Fail before the test, in words, when the use case is unknown; and find its service."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        settings = load_settings()
        load_use_case(options.use_case, settings)
    except EvergreenError as error:
        raise SystemExit(str(error)) from None
    if not environment.host:
        environment.host = settings.service_urls.get(options.use_case, "http://127.0.0.1:3000")


def requests_of(name: str, seed: int) -> list[dict[str, Any]]:
    """Rows for /predict's `data`: the simulator's where there is one, else drawn from the domains."""
    settings = load_settings()
    simulator = load_submodule(name, "simulator", settings)
    if simulator is not None and hasattr(simulator, "draw"):
        rows: list[dict[str, Any]] = simulator.draw(DRAWN, seed, scenario="stable")[0]
        return rows
    return draw_requests(load_use_case(name, settings), DRAWN, seed)


class _Evergreen(FastHttpUser):
    abstract = True
    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        options = self.environment.parsed_options
        if not _rows or options is None:
            raise StopUser
        self.headers = build_headers(load_settings().api_key.get_secret_value(), options.channel)

    def send(self, path: str, data: Any, answers: int) -> None:
        """POST and count everything but a complete answer as a failure."""
        with self.client.post(
            path, json={"data": data}, headers=self.headers, catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
                return
            answer = response.json()
            got = answer.get("predictions", [answer])
            if len(got) != answers or any("prediction" not in one for one in got):
                response.failure(f"an incomplete answer: {(response.text or '')[:200]}")


class OneRow(_Evergreen):
    """A client that asks about one row at a time."""

    weight = 9

    @task
    def predict(self) -> None:
        self.send("/predict", random.choice(_rows), 1)


class ManyRows(_Evergreen):
    """A client that sends a hundred rows at once."""

    weight = 1

    @task
    def predict_batch(self) -> None:
        self.send("/predict_batch", random.sample(_rows, BATCH), BATCH)
