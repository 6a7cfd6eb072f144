"""How each comparator is started, and what is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.server import environment
from benchmarks.serving.contender import Command, Contender, run_server
from benchmarks.serving.world import World

from evergreen.model.matrix import build_input_frame
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows


def build_environment(world: World) -> dict[str, str]:
    """The environment of a process that serves the world's use case."""
    return {
        **environment(world.settings),
        **({"EVERGREEN_MLFLOW_TRACKING_URI": world.registry_address} if world.registry_address else {}),
        "EVERGREEN_USE_CASE": world.use_case.name,
        "BENTOML_HOME": str(world.folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_TRACKING_URI": world.settings.mlflow_tracking_uri,
    }


@contextmanager
def run_fastapi_noop(world: World) -> Iterator[Contender]:
    """The no-op of the web framework; see fastapi_noop.py."""
    command = Command(
        ("-m", "benchmarks.serving.comparators.fastapi_noop", "PORT"),
        build_environment(world),
        "/openapi.json",
    )
    with run_server("fastapi_noop", command, world.folder) as (process, port):
        yield Contender("fastapi_noop", process, port, "/predict", world.write_single_bodies())


@contextmanager
def run_textbook(world: World) -> Iterator[Contender]:
    """The way that tutorials show; see textbook.py."""
    service = "benchmarks.serving.comparators.textbook:Textbook"
    command = Command(
        ("-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", "PORT"),
        build_environment(world),
        "/readyz",
    )
    with run_server("textbook", command, world.folder) as (process, port):
        yield Contender("textbook", process, port, "/predict", world.write_single_bodies(), slow=True)


@contextmanager
def run_mlflow(world: World) -> Iterator[Contender]:
    """MLflow's own scoring server with one worker; its requests hold the on-demand features already."""
    command = Command(
        (
            *("-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"),
            *("--model-uri", f"models:/{world.use_case.name}/{world.version}"),
            *("--host", "127.0.0.1", "--port", "PORT"),
        ),
        build_environment(world),
        "/ping",
    )
    with run_server("mlflow", command, world.folder) as (process, port):
        yield Contender("mlflow", process, port, "/invocations", _write_frames(world), slow=True)


def _write_frames(world: World) -> Path:
    """Each row as MLflow's scoring server takes it: a frame of the model's inputs, None for a missing one."""
    columns = build_columns_from_rows(world.use_case, world.rows)
    frame = build_input_frame(world.use_case, add_on_demand_columns(world.use_case, columns))
    values = frame.astype(object).where(frame.notna(), None).values.tolist()
    names = list(frame.columns)
    return world.write_bodies(
        "mlflow", [{"dataframe_split": {"columns": names, "data": [row]}} for row in values]
    )
