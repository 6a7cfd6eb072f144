"""Thirty random moments of an ingest at which its process or the server is killed: all of it, or nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from evergreen.settings import Settings
from evergreen.store.connection.database import dispose_engines, get_engine
from support import toy_declaration
from support.command_line import environment
from support.own_servers import Database, private_mariadb

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENTS = 2_000
# Each run is a process of its own, forked from one that has imported everything; it speaks first.
NURSERY = """
    import os, sys
    from datetime import datetime
    from evergreen.loop import ingest
    from evergreen.settings import load_settings
    from evergreen.sources import read
    from evergreen.ingest.loading import chunks, load, sorter
    from evergreen.validation import checker, contract

    # Several runs on disk, several files to load.
    sorter.RUN_BYTES = 40_000
    chunks.CHUNK_BYTES = 30_000
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                ingest.run_ingest(load_settings(), "toy", datetime.fromisoformat(line.strip()))
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\\n".encode())
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Database]:
    """A server of one's own, for it will be killed."""
    with private_mariadb(tmp_path) as database:
        yield database


@pytest.fixture
def settings(server: Database, tmp_path: Path) -> Iterator[Settings]:
    folder = tmp_path / "usecases" / "toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(Path(toy_declaration.__file__).read_text(encoding="utf-8"))
    made = server.build_settings(tmp_path)
    made.home.mkdir()
    yield made
    dispose_engines(made)


class Nursery:
    """Starts ingests as processes; `seconds` is what the last one took that loaded."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.seconds = 0.0

    def start(self, as_of: datetime) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{as_of.isoformat()}\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """The status as of waitpid(2)."""
        return int(self._line())

    def complete(self, as_of: datetime) -> None:
        began = time.monotonic()
        self.start(as_of)
        assert self.wait() == 0
        self.seconds = time.monotonic() - began

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def nursery(settings: Settings) -> Iterator[Nursery]:
    places = {"EVERGREEN_HOME": str(settings.home), "TMPDIR": str(settings.home)}
    command = [sys.executable, "-c", textwrap.dedent(NURSERY)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(settings), **places},
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@pytest.mark.slow
def test_thirty_kills_leave_all_of_an_interval_or_none(server: Database, settings: Settings) -> None:
    dice = random.Random(30)
    outcomes = []
    with nursery(settings) as children:
        write(settings, 0)
        children.complete(JUNE)
        for number in range(1, 31):
            as_of = JUNE + number * DAY
            write(settings, number)
            before = earlier_rows(settings, as_of)
            process = children.start(as_of)
            time.sleep(dice.uniform(0, children.seconds))
            # Of new rows and of corrections, each kind of kill gets half.
            if number % 4 in (1, 2):
                kill_server(server)
                children.wait()
                server.start()
            else:
                kill(process)
                children.wait()
            outcomes.append(whole(settings, as_of))
            assert earlier_rows(settings, as_of) == before
            if outcomes[-1]:
                children.start(as_of)
                assert children.wait() == 0
            else:
                children.complete(as_of)
            assert whole(settings, as_of)
            assert earlier_rows(settings, as_of) == before
    # Otherwise every kill came too late, and nothing was tried.
    assert outcomes.count(False) >= 5


def write(settings: Settings, number: int) -> None:
    """The source as of a moment: by turns new rows for everybody, and corrections of the last ones."""
    month = (JUNE - 30 * DAY + (number // 2) * DAY).date()
    lines = [
        f"{client},{month},{number % 100},{client % 9},1.5,web,fine,{('no', 'yes')[number % 2]}"
        for client in range(CLIENTS)
    ]
    header = "client_id,month,age,visits,spend,segment,mood,leaves"
    (settings.home.parent / "toy.csv").write_text("\n".join([header, *lines]) + "\n")


def whole(settings: Settings, as_of: datetime) -> bool:
    """Whether all rows of that moment are there; False when none is. Fails for anything in between."""
    moment = as_of.astimezone(UTC).replace(tzinfo=None)
    with get_engine(settings).connect() as connection:
        # One transaction, so one snapshot.
        counts = [
            connection.execute(
                sa.text(
                    f"SELECT COUNT(*), COUNT(DISTINCT client_id) FROM {table} WHERE ingested_at = :moment"
                ),
                {"moment": moment},
            ).one()
            for table in ("toy__facts", "toy__facts__online", "toy__label")
        ]
        found = sa.text("SELECT status FROM ingest_run WHERE as_of = :moment")
        status = connection.execute(found, {"moment": moment}).scalar()
    all_or_none = {tuple(count) for count in counts}
    assert all_or_none in ({(CLIENTS, CLIENTS)}, {(0, 0)}), counts
    loaded = all_or_none != {(0, 0)}
    assert loaded == (status == "loaded"), status
    return loaded


def earlier_rows(settings: Settings, as_of: datetime) -> list[Any]:
    """What was loaded before that moment."""
    moment = as_of.astimezone(UTC).replace(tzinfo=None)
    found = []
    with get_engine(settings).connect() as connection:
        for table, value in (("toy__facts", "age"), ("toy__label", "leaves")):
            row = f"CONCAT_WS('|', client_id, event_time, ingested_at, {value})"
            statement = f"SELECT COUNT(*), SUM(CRC32({row})) FROM {table} WHERE ingested_at < :moment"
            found.append(tuple(connection.execute(sa.text(statement), {"moment": moment}).one()))
    return found


def kill(process: int) -> None:
    with suppress(ProcessLookupError):  # it may be done already
        os.kill(process, signal.SIGKILL)


def kill_server(server: Database) -> None:
    """SIGKILL to mariadbd itself; what started it ends with it."""
    pid = int((server.server.home / "mariadb.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert server.process is not None
    server.process.wait(60)
