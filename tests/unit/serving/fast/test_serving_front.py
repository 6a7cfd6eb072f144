"""The app in front answers as the app behind it would, whatever the body."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from evergreen.errors import PredictionLogFull
from evergreen.serving import runtime as runtime_module
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.fast import fast_path
from evergreen.serving.fast.fast_path import FastPath, RequestLabels
from evergreen.serving.fast.front import Front
from evergreen.serving.fast.row_list import InvalidBody
from evergreen.serving.metrics.stage_metrics import STAGES
from evergreen.serving.runtime import Runtime
from evergreen.settings import Settings
from evergreen.store.online.vectors import OnlineVector
from evergreen.usecase import UseCase
from support.answering import answering, fit
from support.parcel_case import row

ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([3.0, 12.0, 13, 50.5, 2**63, "van", "foot", "", "x" * 256, "\ud800"])
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
)
NAMES = st.sampled_from(["parcel_id", "weight", "stops", "carrier", "note", "wieght", "data"])


class World:
    """An app alone, and the same behind the app in front; `logged` are the rows of both."""

    def __init__(self, folder: Path, use_case: UseCase) -> None:
        self.logged: list[Any] = []
        self.registry = CollectorRegistry()
        self.runtime: Runtime = answering(
            Settings(home=folder), use_case, fit(use_case), self.logged, self.registry
        )
        self.runtime.read_vectors = self.read_vectors  # type: ignore[method-assign]
        self.app = configure_app(create_app(), self.runtime)

    def read_vectors(self, keys: Any) -> dict[Any, OnlineVector]:
        values = {name: value for name, value in row().items() if name != "parcel_id"}
        return {key: OnlineVector(values, stale_views=("shipment",)) for key in keys if key[0] > 0}

    def post(self, path: str, content: bytes, *, in_front: bool, **headers: str) -> httpx.Response:
        async def send() -> httpx.Response:
            app: Any = self.app
            if in_front:
                front = Front()
                front.fast_path = FastPath(self.runtime)
                app = front.wrap_app(app)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.post(
                    path, content=content, headers={"content-type": "application/json", **headers}
                )

        return asyncio.run(send())

    def compare(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        """Post to both; the answers are equal but for the ids of predictions."""
        alone = self.post(path, content, in_front=False, **headers)
        both = self.post(path, content, in_front=True, **headers)
        assert (both.status_code, strip(both)) == (alone.status_code, strip(alone))
        assert both.headers["content-type"] == alone.headers["content-type"]
        return both


def strip(response: httpx.Response) -> Any:
    body = response.json()
    for answer in [body, *body.get("predictions", [])]:
        answer.pop("prediction_id", None)
    return body


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from support.parcel_case import declare

    folder = tmp_path_factory.mktemp("front")
    return World(folder / "home", declare(Settings(home=folder, use_cases=str(folder / "usecases"))))


@settings(max_examples=60)
@given(name=NAMES, value=ODD)
def test_one_row(world: World, name: str, value: Any) -> None:
    world.compare("/predict", json.dumps({"data": {**row(), name: value}}).encode())


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, ODD), max_size=4))
def test_many_rows(world: World, changes: list[tuple[str, Any]]) -> None:
    rows = [row(), *({**row(), name: value} for name, value in changes), row()]
    world.compare("/predict_batch", json.dumps({"data": rows}).encode())


@pytest.mark.parametrize("key", [1, 7.0, "7", None, 2**63, -5])
def test_a_key(world: World, key: Any) -> None:
    world.compare("/predict_by_key", json.dumps({"data": {"parcel_id": key}}).encode())


@pytest.mark.parametrize(
    "path", ["/predict", "/predict_batch", "/predict_by_key", "/feedback", "/feedback_batch"]
)
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_of_two_values_of_one_name_the_last_counts(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, is_large: bool
) -> None:
    """Documented, and the same for every decoder; for a large body those are others."""
    if is_large:
        monkeypatch.setattr(fast_path, "_SMALL_BYTES", 10)
        monkeypatch.setattr(fast_path, "_MODEL_BYTES", 10)
    name, value, item = {
        "/predict": ("weight", 4.5, row()),
        "/predict_batch": ("weight", 4.5, row()),
        "/predict_by_key": ("parcel_id", 3, {}),
        "/feedback": ("actual", "no", {"prediction_id": str(uuid7())}),
        "/feedback_batch": ("actual", "no", {"prediction_id": str(uuid7())}),
    }[path]
    item.pop(name, None)
    twice = f'{json.dumps(item)[:-1]}{", " if item else ""}"{name}": -7, "{name}": {json.dumps(value)}}}'
    is_list = "batch" in path or (is_large and path == "/predict_by_key")
    content = twice if path == "/feedback" else f'{{"data": {f"[{twice}]" if is_list else twice}}}'
    world.logged.clear()
    assert world.compare(path, content.encode()).status_code == 200
    for logged in world.logged:
        assert (logged.actual if name == "actual" else logged.inputs[name]) == value


def test_keys_with_stale_views_are_told(world: World) -> None:
    for data in ({"parcel_id": 3}, [{"parcel_id": 3}, {"parcel_id": 4}]):
        body = world.compare("/predict_by_key", json.dumps({"data": data}).encode()).json()
        for answer in body.get("predictions", [body]):
            assert answer["stale_views"] == ["shipment"]
            assert answer["missing_views"] == []


NO_ROWS = (b"null", b"[1]", b"{", b'{"data": 1}', b'{"data": {}, "x": 1}', b"\xff\xfe", b'{"data": NaN}')
NO_BATCHES = (b"null", b"[1]", b"{", b'{"data": {}}', b'{"data": []}', b'{"data": [], "x": 1}', b"\xff\xfe")


# A body with one value to be replaced, for each route of many rows.
MANY = {
    "/predict_batch": json.dumps({"data": [row(note="VALUE")]}).encode(),
    "/predict_by_key": b'{"data": [{"parcel_id": "VALUE"}]}',
    "/feedback_batch": b'{"data": [{"prediction_id": "VALUE", "actual": "yes"}]}',
}


@pytest.mark.parametrize("path", ["/predict", "/predict_by_key"])
@pytest.mark.parametrize("content", [b"", *NO_ROWS])
def test_bodies_that_are_none(world: World, path: str, content: bytes) -> None:
    assert world.compare(path, content).status_code in (400, 422)


@pytest.mark.parametrize("content", [b"", *NO_BATCHES])
def test_batches_that_are_none(world: World, content: bytes) -> None:
    world.compare("/predict_batch", content)


@pytest.mark.parametrize("content", NO_BATCHES)
def test_large_ones_are_refused_with_the_same_status(
    world: World, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_path, "_MODEL_BYTES", 0)
    alone = world.post("/predict_batch", content, in_front=False)
    both = world.post("/predict_batch", content, in_front=True)
    assert both.status_code == alone.status_code
    assert both.json()["error"]["fields"]


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, ODD.filter(lambda value: value != "\ud800")), max_size=4))
def test_many_rows_of_a_large_body(world: World, changes: list[tuple[str, Any]]) -> None:
    rows = [row(), *({**row(), name: value} for name, value in changes), row()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_path, "_MODEL_BYTES", 0)
        world.compare("/predict_batch", json.dumps({"data": rows}).encode())


@pytest.mark.parametrize(
    "value",
    [b"9" * 5000, b'"\xff"', b"[" * 100_000, b'{"a":' * 100_000, b'"a\x00b"', b"1e400"],
    ids=["digits", "not UTF-8", "lists", "objects", "zero byte", "1e400"],
)
@pytest.mark.parametrize("path", MANY)
def test_what_no_parser_reads_is_refused_in_a_large_body_too(
    world: World, path: str, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = MANY[path].replace(b'"VALUE"', value)
    small = world.compare(path, content)
    monkeypatch.setattr(fast_path, "_MODEL_BYTES", 0)
    large = world.post(path, content, in_front=True)
    assert large.status_code in (400, 422)
    if small.status_code == 400 and b"\x00" not in content:
        assert large.json() == small.json()


@pytest.mark.parametrize("path", MANY)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/x+json"},
        {"content-type": "text/plain"},
        {"content-encoding": "gzip"},
        {"x-evergreen-channel": "sideways"},
    ],
    ids=str,
)
def test_the_models_see_no_large_body_that_is_wrong(
    world: World, path: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need twenty times its memory: whatever a caller says that it is."""
    monkeypatch.setattr(fast_path, "_MODEL_BYTES", 0)

    async def fail(*_: Any) -> None:
        raise AssertionError("the app was asked")

    monkeypatch.setattr(world, "app", fail)
    for data in (b"[" + b"{}," * 500 + b"{}]", b"[" + b"[]," * 900 + b"[]]", b'[{"x": 1}]', b"{}"):
        response = world.post(path, b'{"data": ' + data + b"}", in_front=True, **headers)
        assert response.status_code == 422
        assert "None" not in response.json()["error"]["message"]


def test_a_large_body_of_keys_or_outcomes_is_answered_as_a_small_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_path, "_MODEL_BYTES", 0)
    for data in ([{"parcel_id": 3}, {"parcel_id": 4.0}], [{"parcel_id": 3}, {"parcel_id": "4"}]):
        world.compare("/predict_by_key", json.dumps({"data": data}).encode())
    outcome = {"prediction_id": "019e0b3c-5a10-7c2e-9d41-6f0c2b7a8e15", "actual": "yes"}
    answer = world.compare("/feedback_batch", json.dumps({"data": [outcome] * 3}).encode())
    assert answer.json() == {"recorded": 3}
    world.compare("/feedback_batch", json.dumps({"data": [outcome, {**outcome, "actual": "ja"}]}).encode())


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=utf-8"},
        {"x-evergreen-channel": "probe"},
        {"x-evergreen-channel": "sideways"},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_headers(world: World, path: str, headers: dict[str, str]) -> None:
    data: Any = row() if path == "/predict" else [row()]
    world.compare(path, json.dumps({"data": data}).encode(), **headers)


def test_a_repeated_request_has_one_id(world: World) -> None:
    key = str(uuid7())
    content = json.dumps({"data": row()}).encode()
    ids = {
        world.post("/predict", content, in_front=in_front, **{"idempotency-key": key}).json()["prediction_id"]
        for in_front in (True, True, False)
    }
    assert ids == {key}
    batch = json.dumps({"data": [row(), row()]}).encode()
    answers = [
        world.post("/predict_batch", batch, in_front=in_front, **{"idempotency-key": key}).json()
        for in_front in (True, False)
    ]
    first, second = ([a["prediction_id"] for a in answer["predictions"]] for answer in answers)
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize("path", ["/feedback", "/feedback_batch"])
def test_repeated_feedback_has_one_id(world: World, path: str) -> None:
    """Each attempt writes rows of the same ids, of which MariaDB takes the first."""
    outcome = {"prediction_id": str(uuid7()), "actual": "yes"}
    outcomes = [outcome] if path == "/feedback" else [outcome, {**outcome, "actual": "no"}]
    content = json.dumps(outcome if path == "/feedback" else {"data": outcomes}).encode()

    def send(**headers: str) -> list[str]:
        world.logged.clear()
        assert world.post(path, content, in_front=True, **headers).status_code == 200
        assert [logged.actual for logged in world.logged] == [each["actual"] for each in outcomes]
        return [logged.outcome_id for logged in world.logged]

    key = str(uuid7())
    ids = send(**{"idempotency-key": key})
    assert ids == send(**{"idempotency-key": key})
    assert ids[0] == key
    others = [
        send(),
        send(),
        send(**{"idempotency-key": str(uuid7())}),
        send(**{"idempotency-key": "order-17"}),
    ]
    assert len({*ids, *(each for other in others for each in other)}) == 5 * len(outcomes)


def test_what_is_answered_is_logged_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.logged.clear()
    good, bad = row(parcel_id=1), row(parcel_id=2, weight=51)
    monkeypatch.setattr(runtime_module, "_PART_ROWS", 100)
    answers = world.post("/predict_batch", json.dumps({"data": [good] * 450}).encode(), in_front=True).json()
    assert [r.prediction_id for r in world.logged] == [a["prediction_id"] for a in answers["predictions"]]
    world.logged.clear()
    assert world.post("/predict_batch", json.dumps({"data": [good, bad]}).encode(), in_front=True).is_error
    assert world.post("/predict", json.dumps({"data": bad}).encode(), in_front=True).is_error
    assert world.logged == []


def test_a_full_spool_is_told_and_nothing_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PredictionLogFull("the disk is full", hint="free some space")

    monkeypatch.setattr(world.runtime.spool, "append", refuse)
    response = world.compare("/predict", json.dumps({"data": row()}).encode())
    assert response.status_code == 503
    assert response.json()["error"]["message"].startswith("the prediction log takes nothing now")


def test_a_fault_of_the_service_shows_nothing_of_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(world.runtime._predictor, "encode_record", fail)
    response = world.post("/predict", json.dumps({"data": row()}).encode(), in_front=True)
    assert response.status_code == 500
    assert "secret" not in response.text


def test_what_a_failed_batch_has_logged_is_logged_again_under_the_same_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of two channels, of which the last one is at fault."""
    world.logged.clear()
    append, attempts = world.runtime.spool.append, []

    def refuse_third(records: Any, rows: int) -> None:
        attempts.append(rows)
        if len(attempts) in (3, 6):
            raise PredictionLogFull("the disk is full", hint="free some space")
        append(records, rows)

    monkeypatch.setattr(world.runtime.spool, "append", refuse_third)

    async def send() -> list[Any]:
        fast = FastPath(world.runtime)
        values = fast.decode_row(json.dumps({"data": row()}).encode())
        assert values is not None
        return await asyncio.gather(
            *(fast.predict(values, RequestLabels(channel)) for channel in ("online", "probe", "online")),
            return_exceptions=True,
        )

    *answers, failure = asyncio.run(send())
    assert isinstance(failure, PredictionLogFull)
    assert len(attempts) == 6
    ids = [json.loads(answer)["prediction_id"] for answer in answers]
    assert [logged.prediction_id for logged in world.logged] == ids * 2


@pytest.fixture
def large_world(parcel: UseCase, tmp_path: Path) -> World:
    """One that takes many rows in a request."""
    return World(tmp_path, replace(parcel, serving=replace(parcel.serving, max_batch=20_000)))


@pytest.mark.parametrize(("rows", "is_on_loop"), [(100, True), (10_000, False)])
def test_a_small_body_of_many_rows_does_not_hold_the_event_loop(
    large_world: World, monkeypatch: pytest.MonkeyPatch, rows: int, is_on_loop: bool
) -> None:
    """As where every feature may be missing: {} is a row."""
    threads: list[int] = []

    def answer_many(*_: Any) -> bytes:
        threads.append(threading.get_ident())
        return b"{}"

    monkeypatch.setattr(large_world.runtime, "answer_many", answer_many)

    async def send() -> None:
        fast = FastPath(large_world.runtime)
        monkeypatch.setattr(fast._batch_decoder, "decode", lambda body: [()] * body.count(b"{}"))
        body = b'{"data":[%s]}' % b",".join([b"{}"] * rows)
        assert len(body) <= 32_000
        assert await fast.predict_many(body, RequestLabels("online")) == b"{}"

    asyncio.run(send())
    assert [thread == threading.get_ident() for thread in threads] == [is_on_loop]


def test_many_rows_that_are_wrong_are_checked_beside_the_event_loop(large_world: World) -> None:
    body = b'{"data":[%s]}' % b",".join([b"{}"] * 5_000)
    answer = large_world.compare("/predict_batch", body)
    assert answer.status_code == 422

    async def send() -> None:
        with pytest.raises(InvalidBody):  # the models of the app, which check on the loop, are not needed
            await FastPath(large_world.runtime).predict_many(body, RequestLabels("online"))

    asyncio.run(send())


def test_large_requests_are_measured_by_stage_and_rows(large_world: World) -> None:
    world = large_world
    body = json.dumps({"data": [{**row(), "parcel_id": number} for number in range(1500)]}).encode()

    def read(name: str, **labels: str) -> float:
        labels = {"use_case": world.runtime.use_case.name, **labels}
        return world.registry.get_sample_value(name, labels) or 0.0

    def read_counts() -> dict[str, float]:
        counts = {stage: read("evergreen_stage_seconds_count", stage=stage) for stage in STAGES}
        return {**counts, "rows": read("evergreen_batch_rows_count")}

    before, large = read_counts(), read("evergreen_batch_rows_bucket", le="10000.0")
    sizes = read("evergreen_batch_rows_bucket", le="1000.0")
    for _ in range(8):
        assert world.post("/predict_batch", body, in_front=True).status_code == 200
    after = read_counts()
    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 1.0)
    assert read("evergreen_batch_rows_bucket", le="10000.0") == large + 1
    assert read("evergreen_batch_rows_bucket", le="1000.0") == sizes
