"""Fixtures on real servers: a private MariaDB per test process, one empty database per test."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from evergreen.settings import Settings
from evergreen.stack.servers.mariadb import PrivateMariaDB
from evergreen.store.connection.database import dispose_engines
from evergreen.usecase import UseCase
from support import toy_declaration
from support.drivers import hide_mysqlclient
from support.own_servers import Database, private_mariadb

# Beside servers on two cores, neither what one example takes nor how long it takes to make says anything. One
# that fails is printed, not kept. A fixture of one test serves all its
# examples: each law empties what it fills.
hypothesis.settings.register_profile(
    "evergreen",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("evergreen")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
INTEGRATION = Path(__file__).resolve().parent / "integration"


# What a developer's machine may have set and no test may see. The proxies: servers of tests are on loopback,
# which a client asks directly only when told so.
_FOREIGN = re.compile(r"(EVERGREEN|AIRFLOW_CONN|MLFLOW|BENTOML)_.*|.*_proxy", re.IGNORECASE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say after a failure in which order the tests ran; pytest-randomly's own line is not shown with -q."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None and {"failed", "error"} & set(terminalreporter.stats):
        terminalreporter.write_line(f"the same order again: --randomly-seed={seed}")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """The developer's own settings and proxies are gone before any other fixture, also for subprocesses.

    The zone of everything, servers too, is one with half hours and summer time: what takes a local time for
    UTC, or one for the other, shows. `TZ=Asia/Kathmandu make test` chooses another.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if _FOREIGN.fullmatch(name):
                patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("TZ", os.environ.get("TZ") or "America/St_Johns")
        time.tzset()
        yield
    time.tzset()


@sa.event.listens_for(sa.Engine, "connect")
def _write_sqlite_without_sync(connection: object, _record: object) -> None:
    """MLflow's SQLite files of this process are written without fsync: hundreds in each training."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A private MariaDB for this test process; gone with it, data and all."""
    with private_mariadb(tmp_path_factory.mktemp("server")) as database:
        yield database


@pytest.fixture(scope="session")
def mariadb_server(mariadb: Database) -> PrivateMariaDB:
    """Where that MariaDB is and who may enter."""
    return mariadb.server


@pytest.fixture
def settings(mariadb: Database, tmp_path: Path) -> Iterator[Settings]:
    """Settings with an empty database of this test's own and an MLflow store in its temporary folder."""
    with mariadb.empty_database() as name:
        made = mariadb.build_settings(
            tmp_path, name, mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", threads=1
        )
        yield made
        # Otherwise each test would leave its pool's connections until the server has no more.
        dispose_engines(made)


@pytest.fixture(params=["mysqlclient", "PyMySQL alone"])
def drivers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with both drivers and without mysqlclient; which it is."""
    if request.param == "PyMySQL alone":
        hide_mysqlclient(monkeypatch)
    return str(request.param)


@pytest.fixture(scope="session")
def titanic_csv() -> Path:
    """The real Titanic training file; its tests are skipped where it is absent."""
    path = SHARED_DATA / "titanic" / "train.csv"
    if not path.exists():
        pytest.skip(f"the Titanic file is not there: {path}")
    return path


@pytest.fixture(scope="session")
def titanic_test_csv() -> Path:
    """Kaggle's unlabelled Titanic file; its tests are skipped where it is absent."""
    path = SHARED_DATA / "titanic" / "test.csv"
    if not path.exists():
        pytest.skip(f"Kaggle's test file is not there: {path}")
    return path


@pytest.fixture(scope="session")
def toy_use_case() -> UseCase:
    """A small binary use case `toy`: timed view `facts`, label `leaves` 7 days late, on-demand feature."""
    return toy_declaration.USE_CASE


@pytest.fixture
def toy_settings(settings: Settings) -> Settings:
    """`settings` in which `usecases.load("toy", settings)` finds the toy; its file is home/toy.csv."""
    folder = Path(settings.use_cases) / "toy"
    folder.mkdir(parents=True)
    shutil.copy(toy_declaration.__file__, folder / "__init__.py")
    settings.home.mkdir(exist_ok=True)
    settings.sources["toy"] = str(settings.home / "toy.csv")
    return settings


def toy_rows(count: int = 600, seed: int = 1, start: str = "2026-01-01", shift: float = 0.0) -> pd.DataFrame:
    """`count` rows of the toy's source over 6 months, as its CSV would hold them; `shift` moves the inputs.

    Columns client_id, month, age, visits, spend, segment, mood, leaves. Each client appears once a month, and
    `leaves` follows from visits and spend with some noise (ROC AUC about 0.9 is reachable).
    """
    rng = np.random.default_rng(seed)
    months = pd.date_range(start, periods=6, freq="MS")
    number = np.arange(count)
    visits = rng.poisson(4 + shift, count)
    spend = np.round(rng.gamma(2.0, 20.0 * (1 + shift), count) + 5.0 * visits, 2)
    segment = rng.choice(np.array(["web", "shop", "phone"], dtype=object), count)
    score = 1.2 - 0.5 * visits + 0.01 * spend + 0.8 * (segment == "phone") + rng.normal(0, 0.5, count)
    frame = pd.DataFrame(
        {
            "client_id": number // len(months) + 1,
            "month": months[number % len(months)].strftime("%Y-%m-%d"),
            "age": rng.integers(18, 90, count),
            "visits": visits,
            "spend": spend,
            "segment": segment,
            "mood": rng.choice(np.array(["fine", "so so", "übel"], dtype=object), count),
            "leaves": np.where(score > 0, "yes", "no").astype(object),
        }
    )
    frame.loc[rng.random(count) < 0.08, "spend"] = np.nan
    frame.loc[rng.random(count) < 0.08, "segment"] = None
    return frame


@pytest.fixture
def toy_source() -> Callable[..., pd.DataFrame]:
    """`toy_rows`: raw rows of the toy's source file."""
    return toy_rows


@pytest.fixture(scope="session")
def toy_frames() -> Callable[..., dict[str, pd.DataFrame]]:
    """Like `toy_rows`, but as the clean frames that `ingest.loading.load` takes: {"facts", "label"}."""

    def build(*args: object, **kwargs: object) -> dict[str, pd.DataFrame]:
        frame = toy_rows(*args, **kwargs)  # type: ignore[arg-type]
        frame["event_time"] = pd.to_datetime(frame.pop("month"), utc=True).astype("datetime64[us, UTC]")
        for column in ("age", "visits", "spend"):
            frame[column] = frame[column].astype("float64")
        for column in ("segment", "mood", "leaves"):
            values = frame[column].astype(object)
            frame[column] = values.where(values.notna(), None)
        head = ["client_id", "event_time"]
        return {
            "facts": frame[[*head, "age", "visits", "spend", "segment", "mood"]],
            "label": frame[[*head, "leaves"]],
        }

    return build


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files into an order that keeps two processes busy; pytest-randomly's stays within each group.

    A process takes the next file of the list when it is nearly done with its own (`--dist loadfile`): what
    takes minutes comes first, so that short files fill the end. Tests of the whole stack share one, and some
    end parts of it: they come last, in the order of their files, whatever pytest-randomly made of it.
    """
    ranks: dict[Path, int] = {}
    for item in items:
        ranks[item.path] = min(_rank_item(item), ranks.get(item.path, _WHOLE_STACK))
    whole_stack = [item for item in items if ranks[item.path] == _WHOLE_STACK]
    whole_stack.sort(key=lambda item: (str(item.path), item.location[1] or 0))
    others = [item for item in items if ranks[item.path] != _WHOLE_STACK]
    items[:] = sorted(others, key=lambda item: ranks[item.path]) + whole_stack


_WHOLE_STACK = 3


def _rank_item(item: pytest.Item) -> int:
    """The group of an item: slow tests, other ones on servers, those without servers, the whole stack."""
    if "e2e" in item.keywords:
        return _WHOLE_STACK
    if "slow" in item.keywords:
        return 0
    return 1 if INTEGRATION in item.path.parents else 2
