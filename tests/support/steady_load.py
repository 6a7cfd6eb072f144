"""Requests that are sent to a service without a pause, while a test changes things around it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from evergreen.errors import ServingError
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.models import load_model
from support.serving_world import Service, World

_CALLERS = 4


@dataclass
class SteadyLoad:
    """What came of it so far: answers by version, and what was wrong."""

    answers: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def predict_probabilities(made: World, version: int, rows: Sequence[dict[str, Any]]) -> list[float]:
    """What a version itself answers to rows."""
    model = load_model(made.settings, made.use_case, version)
    outcome = predict_rows(made.use_case, model, build_columns_from_rows(made.use_case, rows))
    probabilities: list[float] = outcome.probability.tolist()  # type: ignore[union-attr]
    return probabilities


@contextmanager
def send_steadily(
    service: Service, rows: Sequence[dict[str, Any]], expected: Mapping[int, Sequence[float]]
) -> Iterator[SteadyLoad]:
    """Meanwhile several callers send the rows again and again. Each answer must be that which `expected` has
    for its version and row."""
    load, stop, lock = SteadyLoad(), threading.Event(), threading.Lock()

    def send(start: int) -> None:
        with service.client() as client:
            number = start
            while not stop.is_set():
                number = (number + 1) % len(rows)
                try:
                    answer = client.predict(rows[number])
                except ServingError as error:
                    with lock:
                        load.faults.append(str(error))
                    continue
                version = answer["model_version"]
                right = expected[version][number]
                with lock:
                    load.answers[version] += 1
                    if abs(answer["probability"] - right) > 1e-12:
                        load.faults.append(f"v{version} answered {answer['probability']} instead of {right}")

    starts = range(0, len(rows), max(1, len(rows) // _CALLERS))
    threads = [threading.Thread(target=send, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()
