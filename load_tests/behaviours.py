"""A locust user for each way in which clients use a service. `weight` is how common each is among all."""

from __future__ import annotations

import random
from typing import Any

from locust import FastHttpUser, between, task
from locust.exception import StopUser

from evergreen.serving.calls.exchange import build_headers
from evergreen.settings import load_settings
from load_tests.request_data import Requests

BATCH = 100
_SHOWN = 200


class Client(FastHttpUser):
    """What all of them share: the rows to send, and that every answer but a complete one is a failure."""

    abstract = True
    wait_time = between(0.01, 0.1)
    # Set before the test starts, for all users.
    requests: Requests | None = None

    def on_start(self) -> None:
        options = self.environment.parsed_options
        if self.requests is None or options is None:
            raise StopUser
        self.headers = build_headers(load_settings().api_key.get_secret_value(), options.channel)

    def ask(self, path: str, body: Any, needed: str, *, name: str = "") -> dict[str, Any] | None:
        """POST and return the answer, which must be a 200 with the field `needed`; None after a failure."""
        with self.client.post(
            path, json=body, headers=self.headers, catch_response=True, name=name or path
        ) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {(response.text or '')[:_SHOWN]}")
                return None
            answer: dict[str, Any] = response.json()
            if needed not in answer:
                response.failure(f"an incomplete answer: {(response.text or '')[:_SHOWN]}")
                return None
            return answer


class OneRow(Client):
    """Asks about one row at a time."""

    weight = 9

    @task
    def predict(self) -> None:
        assert self.requests is not None
        self.ask("/predict", {"data": random.choice(self.requests.rows)}, "prediction")


class ManyRows(Client):
    """Sends a hundred rows at once."""

    weight = 1

    @task
    def predict_batch(self) -> None:
        assert self.requests is not None
        body = {"data": random.sample(self.requests.rows, BATCH)}
        with self.client.post(
            "/predict_batch", json=body, headers=self.headers, catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {(response.text or '')[:_SHOWN]}")
                return
            answers = response.json().get("predictions", [])
            if len(answers) != BATCH or any("prediction" not in answer for answer in answers):
                response.failure(f"an incomplete answer: {(response.text or '')[:_SHOWN]}")


class ByKey(Client):
    """Asks about keys whose features the online store holds.

    Where the keys are not known (`--keys`), they are drawn, and a 404 is the right answer to an unknown one.
    """

    weight = 3

    @task
    def predict_by_key(self) -> None:
        assert self.requests is not None
        body = {"data": random.choice(self.requests.keys)}
        if self.requests.keys_exist:
            self.ask("/predict_by_key", body, "prediction")
            return
        with self.client.post(
            "/predict_by_key", json=body, headers=self.headers, catch_response=True
        ) as response:
            if response.status_code in (200, 404):
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:_SHOWN]}")


class Reporting(Client):
    """Asks about a row, and reports an outcome (a drawn one) for the prediction."""

    weight = 2

    @task
    def predict_and_report(self) -> None:
        assert self.requests is not None
        answer = self.ask(
            "/predict", {"data": random.choice(self.requests.rows)}, "prediction_id", name="/predict"
        )
        if answer is not None:
            outcome = random.choice(self.requests.outcomes or [answer["prediction"]])
            body = {"prediction_id": answer["prediction_id"], "actual": outcome}
            self.ask("/feedback", body, "prediction_id")


class Explaining(Client):
    """Asks why."""

    weight = 1

    @task
    def explain(self) -> None:
        assert self.requests is not None
        self.ask("/explain", {"data": random.choice(self.requests.rows)}, "contributions")


class Careless(Client):
    """Sends what no service may accept; the 4xx that it must answer is a success, all else a failure."""

    weight = 1

    @task
    def send_bad_request(self) -> None:
        assert self.requests is not None
        bad = random.choice(self.requests.bad)
        headers = {**self.headers, "Content-Type": "application/json"}
        with self.client.request(
            bad.method,
            bad.path,
            data=bad.body or None,
            headers=headers,
            catch_response=True,
            name=f"bad: {bad.kind}",
        ) as response:
            if response.status_code == bad.status:
                response.success()
            else:
                text = (response.text or "")[:_SHOWN]
                response.failure(f"{response.status_code} instead of {bad.status}: {text}")


BEHAVIOURS: dict[str, type[Client]] = {
    "single": OneRow,
    "batch": ManyRows,
    "by-key": ByKey,
    "feedback": Reporting,
    "explain": Explaining,
    "bad": Careless,
}
