"""A real service whose declaration is edited under load: new workers take it over, or it is refused."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from evergreen.errors import EvergreenError, InvalidRequest
from evergreen.serving.calls.exchange import Retries
from evergreen.stack.overview import build_overview
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.declared import build_prediction_table
from evergreen.usecase.digest import compute_serving_digest, shorten_digest
from support.edited_parcel import DEPOT, DEPOT_UNUSED, MAXIMUM, WIDER, EditedParcel
from support.service_facts import find_workers, read_metric
from support.serving_world import Service, World, register_models, running
from support.waiting import eventually

CLIENTS = 3
# A new worker loads BentoML, CatBoost and the model, beside clients that take what processor there is.
PATIENCE = 120


class Traffic:
    """Clients that send predictions without repeating any: the ids that were answered, and what failed."""

    def __init__(self, service: Service, rows: list[dict[str, Any]]) -> None:
        self._service = service
        self._rows = rows
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]
        self.answered: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        number = 0
        with self._service.client(timeout=30, retries=Retries(count=0)) as client:
            while not self._stop.is_set():
                number += 1
                try:
                    answer = client.predict(self._rows[number % len(self._rows)])
                except EvergreenError as error:
                    self.failures.append(f"{type(error).__name__}: {error}")
                else:
                    self.answered.append(answer["prediction_id"])
                # So that some connections are idle when a worker ends.
                self._stop.wait(0.05 if number % 20 else 0.5)


@pytest.fixture
def parcel(made: World) -> Iterator[EditedParcel]:
    made.promote(made.versions[0])
    edited = EditedParcel(made.settings)
    yield edited
    edited.restore()


@contextmanager
def following(made: World, folder: Path, **more: str) -> Iterator[Service]:
    with running(made, folder, more=more) as service:
        made.settings.service_urls["parcel"] = service.url
        yield service


def metadata(service: Service) -> dict[str, Any]:
    with service.client() as client:
        return dict(client.metadata())


def read_ids(made: World) -> Counter[str]:
    table = build_prediction_table(made.use_case)
    with get_engine(made.settings).connect() as connection:
        return Counter(connection.execute(table.select()).scalars())


def test_a_widened_maximum_is_taken_over_without_a_lost_request(
    made: World, parcel: EditedParcel, tmp_path: Path
) -> None:
    heavy = made.rows(1)[0] | {"weight": 400.0}
    with following(made, tmp_path) as service:
        with service.client() as client, pytest.raises(InvalidRequest):
            client.predict(heavy)
        (former,) = find_workers(service)
        with Traffic(service, made.rows(50)) as traffic:
            eventually(lambda: len(traffic.answered) > 50)
            wider = parcel.edit(MAXIMUM, WIDER)
            eventually(lambda: former not in find_workers(service), PATIENCE)
            count = len(traffic.answered)
            eventually(lambda: len(traffic.answered) > count + 50)
        assert traffic.failures == []
        assert len(find_workers(service)) == 1
        assert metadata(service)["declaration"] == compute_serving_digest(wider)
        with service.client() as client:
            answer = client.predict(heavy)
        answered = [*traffic.answered, answer["prediction_id"]]
        maxima = httpx.get(f"{service.url}/openapi.json").text
        assert '"maximum":500' in maxima.replace(" ", "").replace("500.0", "500")
        eventually(lambda: set(answered) <= set(read_ids(made)), 60)
        ids = read_ids(made)
        assert {ids[each] for each in answered} == {1}
        eventually(lambda: read_metric(service, "evergreen_declaration_takeovers") == 1)
        assert read_metric(service, "evergreen_predictions_total") == len(answered)
        eventually(lambda: read_metric(service, "evergreen_prediction_log_spooled") == 0)
        assert build_overview(made.settings, wider).is_healthy


def test_a_declaration_that_is_broken_or_suits_no_model_is_refused_until_that_is_mended(
    made: World, parcel: EditedParcel, tmp_path: Path
) -> None:
    with following(made, tmp_path) as service:
        (worker,) = find_workers(service)
        with Traffic(service, made.rows(50)) as traffic:
            parcel.write(MAXIMUM, WIDER[:-9])  # as an editor that was interrupted leaves it
            eventually(lambda: metadata(service)["declaration_refused"], PATIENCE)
            refused = metadata(service)["declaration_refused"]
            assert refused["declaration"] == ""
            assert "__init__.py:" in refused["reason"]
            assert "SyntaxError" in refused["reason"]
            assert "the changed declaration is refused" in service.log.read_text()
            eventually(lambda: read_metric(service, "evergreen_declaration_refused") == 1)

            parcel.restore()
            eventually(lambda: metadata(service)["declaration_refused"] is None, PATIENCE)
            assert find_workers(service) == {worker}

            fewer = parcel.edit(DEPOT, DEPOT_UNUSED)
            eventually(lambda: metadata(service)["declaration_refused"], PATIENCE)
            standing = build_overview(made.settings, fewer).to_json()["standing"]
            held, now = (shorten_digest(compute_serving_digest(each)) for each in (made.use_case, fewer))
            assert standing["lags"]
            assert standing["summary"].startswith(
                f"serves v{made.versions[0]}; holds an older declaration ({held}, now {now}),"
                f" because it refuses the present one: parcel version {made.versions[0]} does not fit"
            )
            assert "evergreen train parcel" in standing["remedy"]
            assert find_workers(service) == {worker}

            (third,) = register_models(made.settings, fewer, Path(made.settings.home), [3])
            made.promote(third)
            eventually(lambda: metadata(service)["declaration"] == compute_serving_digest(fewer), PATIENCE)
            service.settle(third)
            eventually(lambda: worker not in find_workers(service), PATIENCE)
        assert traffic.failures == []
        assert metadata(service)["declaration_refused"] is None
