"""Deploy and score on the real service, store and registry: the probe, the rollback, batch scoring, load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.errors import NoChampion, ServingError
from evergreen.loop import score
from evergreen.loop.deployment import deploy
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.champion import read_champion
from evergreen.registry.ledger import append_entry, read_entries
from evergreen.registry.models import load_model
from evergreen.serving.channels import PROBE_CHANNEL
from evergreen.serving.probe import DRAWN_PROBE_ROWS, LOGGED_PROBE_ROWS
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import read_predictions
from support.serving_world import PARCELS, Service, World, environment, register_models
from support.waiting import eventually

REPOSITORY = Path(__file__).resolve().parents[3]


def promote(made: World, version: int, former: int | None) -> None:
    """As the train DAG does: the ledger and then the alias."""
    append_entry(
        get_engine(made.settings),
        use_case_name="parcel",
        action="promote",
        from_version=former,
        to_version=version,
        training_run_id=f"training-{version}",
        actor="test",
        reason="a test",
    )
    made.promote(version)


def test_a_good_champion_passes_and_a_rerun_gives_the_same(made: World, service: Service) -> None:
    first, second = made.versions
    promote(made, first, None)
    promote(made, second, first)
    eventually(service.drained)
    before, probes = made.logged(), made.logged(PROBE_CHANNEL)
    with service.client() as client:
        client.predict_batch(made.rows(20, seed=3))
    online = before + 20
    eventually(lambda: made.logged() == online)
    rows = DRAWN_PROBE_ROWS + min(LOGGED_PROBE_ROWS, online)
    for _ in range(2):
        result = json.loads(json.dumps(deploy.run_deploy(made.settings, "parcel")))
        assert result["serving_champion"]["model_version"] == second
        assert result["probe"] == {
            "model_version": second,
            "rows": rows,
            "errors": 0,
            "mismatches": 0,
            "examples": [],
        }
        assert result["finalize"] == {"model_version": second, "rows": rows}
    eventually(lambda: made.logged(PROBE_CHANNEL) >= probes + 2 * rows)
    assert made.logged() == online
    assert made.logged(PROBE_CHANNEL) == probes + 2 * rows


def test_a_champion_that_the_service_cannot_load_is_named_with_its_reason(
    made: World, service: Service, tmp_path: Path
) -> None:
    first = made.versions[0]
    made.promote(first)
    assert deploy.wait_for_champion(made.settings, "parcel")["model_version"] == first
    (misfit,) = register_models(made.settings, made.use_case, tmp_path, [1], classes=("early", "late"))
    made.promote(misfit)
    with service.client() as client:
        eventually(lambda: "does not fit the declaration" in client.metadata()["trouble"])
        with pytest.raises(ServingError, match=f"version {misfit} does not fit the declaration") as caught:
            deploy.wait_for_champion(made.settings, "parcel", timeout_seconds=0)
        assert f"served by version {first}" in caught.value.message
        assert client.predict(made.rows(1)[0])["model_version"] == first
        assert client.ready()


def test_bad_answers_roll_back_once_and_says_so(made: World, service: Service) -> None:
    first, second = made.versions
    promote(made, first, None)
    promote(made, second, first)
    assert deploy.wait_for_champion(made.settings, "parcel")["model_version"] == second
    bad = {
        "model_version": second,
        "rows": 100,
        "errors": 1,
        "mismatches": 2,
        "examples": ["'yes' instead of 'no'"],
    }
    for _ in range(2):  # a cleared task runs again
        with pytest.raises(ServingError, match="2 differed") as caught:
            deploy.finalize_deployment(made.settings, "parcel", bad)
        assert f"version {first} is champion again" in caught.value.hint
    now = read_champion(made.settings, "parcel")
    assert now is not None
    assert now.version == first
    rollbacks = [e for e in read_entries(get_engine(made.settings), "parcel") if e.action == "rollback"]
    assert [(e.from_version, e.to_version, e.training_run_id) for e in rollbacks] == [
        (second, first, f"training-{second}")
    ]
    assert "'yes' instead of 'no'" in rollbacks[0].reason
    assert deploy.wait_for_champion(made.settings, "parcel")["model_version"] == first


def test_without_a_former_champion_nothing_is_rolled_back(made: World, service: Service) -> None:
    first = made.versions[0]
    promote(made, first, None)
    bad = {"model_version": first, "rows": 100, "errors": 100, "mismatches": 0, "examples": ["500"]}
    with pytest.raises(ServingError, match="100 failed") as caught:
        deploy.finalize_deployment(made.settings, "parcel", bad)
    assert "no former champion" in caught.value.hint
    now = read_champion(made.settings, "parcel")
    assert now is not None
    assert now.version == first


def test_batch_scoring_writes_every_entity_once_however_often_it_runs(made: World) -> None:
    made.promote(made.versions[0])
    as_of = datetime(2026, 6, 2, 4, 5, 6, 789_000, tzinfo=UTC)
    parts = score.plan_partitions(made.settings, "parcel", as_of, size=100)
    assert len(parts) == 3
    assert json.loads(json.dumps(parts)) == parts
    results = [score.score_partition(made.settings, "parcel", as_of, part) for part in parts]
    assert sum(result["rows"] for result in results) == PARCELS
    assert sum(result["inserted"] for result in results) == PARCELS
    again = score.run_score(made.settings, "parcel", as_of)
    assert again == {"rows": PARCELS, "inserted": 0, "parts": 1}
    frame = read_predictions(
        get_engine(made.settings), made.use_case, datetime(2026, 6, 2, tzinfo=UTC), as_of, channels=("batch",)
    )
    assert len(frame) == PARCELS
    assert set(frame["model_version"]) == {made.versions[0]}
    assert {uuid.UUID(text).version for text in frame["prediction_id"]} == {7}
    model = load_model(made.settings, made.use_case, made.versions[0])
    own = predict_rows(
        made.use_case, model, build_columns_from_rows(made.use_case, made.rows(PARCELS, seed=11))
    )
    by_key = frame.set_index("parcel_id")
    for number, answer in enumerate(own.list_answers()):
        assert by_key.loc[number + 1]["probabilities"] == pytest.approx(answer.probabilities)


def test_scoring_without_a_champion_says_so(made: World) -> None:
    with pytest.raises(NoChampion, match="titanic"):
        score.plan_partitions(made.settings, "titanic", datetime(2026, 6, 2, tzinfo=UTC))


def test_locust_draws_its_requests_from_the_declaration(
    made: World, service: Service, tmp_path: Path
) -> None:
    locust = shutil.which("locust", path=str(Path(sys.executable).parent))
    if locust is None:
        pytest.skip("locust is not installed (the extra `load`)")
    eventually(service.drained)
    probes = made.logged(PROBE_CHANNEL)
    finished = subprocess.run(
        [
            *(locust, "-f", str(REPOSITORY / "load_tests" / "locustfile.py"), "--use-case", "parcel"),
            *("--headless", "--users", "10", "--spawn-rate", "10", "--run-time", "3s", "--stop-timeout", "5"),
            *("--channel", "probe", "--json", "--host", service.url),
        ],
        env={**environment(made.settings, "", tmp_path), "EVERGREEN_USE_CASE": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    statistics = {entry["name"]: entry for entry in json.loads(finished.stdout)}
    assert set(statistics) == {"/predict", "/predict_batch"}
    assert sum(entry["num_failures"] for entry in statistics.values()) == 0
    rows = statistics["/predict"]["num_requests"] + 100 * statistics["/predict_batch"]["num_requests"]
    assert rows > 100
    eventually(lambda: made.logged(PROBE_CHANNEL) >= probes + rows)
    assert made.logged(PROBE_CHANNEL) == probes + rows


def test_locust_with_an_unknown_use_case_stops_in_words(tmp_path: Path) -> None:
    locust = shutil.which("locust", path=str(Path(sys.executable).parent))
    if locust is None:
        pytest.skip("locust is not installed (the extra `load`)")
    finished = subprocess.run(
        [
            *(locust, "-f", str(REPOSITORY / "load_tests" / "locustfile.py"), "--use-case", "titanik"),
            *("--headless", "--run-time", "1s"),
        ],
        env={**os.environ, "EVERGREEN_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode != 0
    assert "did you mean 'titanic'?" in finished.stderr


def test_a_minute_of_load_behaves_in_every_way(made: World, service: Service, tmp_path: Path) -> None:
    """`make load` in small: every behaviour gets the answers that it must, and a summary is left."""
    if shutil.which("locust", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("locust is not installed (the extra `load`)")
    eventually(service.drained)
    online = made.logged()
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "load_tests", "--use-case", "parcel", "--url", service.url),
            *(
                "--users",
                "34",
                "--seconds",
                "5",
                "--max-p95",
                "0",
                "--max-p99",
                "0",
                "--output",
                str(tmp_path),
            ),
        ],
        env=environment(made.settings, "", tmp_path) | {"EVERGREEN_USE_CASE": ""},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr + finished.stdout
    report = json.loads((tmp_path / "load.json").read_text())
    names = {route["name"] for route in report["routes"]}
    assert {"/predict", "/predict_batch", "/predict_by_key", "/feedback", "/explain"} <= names
    assert any(name.startswith("bad: ") for name in names)
    assert report["total"]["failures"] == 0
    assert report["total"]["requests"] > 100
    assert "errors 0.00% (at most 0.00%): pass" in finished.stdout
    assert "/predict_by_key" in (tmp_path / "load.html").read_text()
    assert (tmp_path / "load.svg").read_text().startswith("<svg")
    eventually(service.drained)
    assert made.logged() == online


def test_a_run_that_breaks_a_limit_fails(made: World, service: Service, tmp_path: Path) -> None:
    if shutil.which("locust", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("locust is not installed (the extra `load`)")
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "load_tests", "--use-case", "parcel", "--url", service.url),
            *("--users", "2", "--seconds", "2", "--behaviours", "single", "--max-p99", "0.001"),
            *("--output", str(tmp_path)),
        ],
        env=environment(made.settings, "", tmp_path) | {"EVERGREEN_USE_CASE": ""},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 1, finished.stderr
    assert "FAIL" in finished.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--url", "http://127.0.0.1:9"], "is not ready"),
        ([], "no service of parcel runs"),
        (["--use-case", "parcell"], "did you mean 'parcel'?"),
    ],
)
def test_load_without_a_service_says_what_to_do(
    made: World, tmp_path: Path, options: list[str], message: str
) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "load_tests", "--use-case", "parcel", *options, "--output", str(tmp_path)],
        env=environment(made.settings, "", tmp_path),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
