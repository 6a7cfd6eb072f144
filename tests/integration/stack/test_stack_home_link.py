"""A home that is a link, and a port that is taken: the stack's own MariaDB under the real supervisor."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evergreen.demo.fresh import TourMarker
from evergreen.settings import load_settings
from evergreen.stack import lifecycle
from evergreen.stack.processes import process_table
from evergreen.stack.processes.home import is_stack_alive
from evergreen.stack.status import read_stack_status
from evergreen.store.connection.database import dispose_engines, get_engine
from evergreen.usecases import load_use_case
from support.listening import listening
from support.own_ports import reserve_ports

TESTS = Path(__file__).resolve().parents[2]
PLAN = "support.mariadb_plan:MariaDBPlan"
MOMENT = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that is a link; the stack of the folder behind it is down at the end."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    for name in [name for name in os.environ if name.startswith("EVERGREEN_")]:
        monkeypatch.delenv(name)
    # Not under pytest's tmp_path: its name is too long for a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="evergreen-link-"))
    (folder / "real").mkdir()
    link = folder / "link"
    link.symlink_to("real")
    reserve_ports(link)
    yield link
    lifecycle.stop_stack(folder / "real")
    assert process_table.find_stack_processes(process_table.compute_stack_id(folder / "real")) == {}
    shutil.rmtree(folder)


def read_user(home: Path) -> str:
    """The account that the settings of a home connect as."""
    settings = load_settings(home)
    with get_engine(settings).connect() as connection:
        user: str = connection.exec_driver_sql("SELECT USER()").scalar_one()
    dispose_engines(settings)
    return user


def test_a_home_that_is_a_link_is_the_folder_behind_it_also_on_another_port(link: Path) -> None:
    real = link.resolve()
    status = lifecycle.start_stack(link, plan=PLAN)
    assert (status.state, read_stack_status(real).supervisor_pid) == ("running", status.supervisor_pid)
    assert is_stack_alive(link)
    settings = load_settings(link)
    assert settings == load_settings(real)
    assert (settings.home, settings.mariadb_socket) == (real, real / "mariadb" / "mariadb.sock")
    assert stat.S_IMODE(real.stat().st_mode) == 0o700
    assert link.is_symlink()
    # Over the socket: by the port the host would be an address.
    assert read_user(link) == read_user(real) == "evergreen@localhost"
    pids = process_table.find_stack_processes(process_table.compute_stack_id(link))
    assert listening(pids) == {f"tcp 127.0.0.1:{settings.mariadb_port}"}

    use_case = load_use_case("credit_score", settings)
    TourMarker.of(settings, use_case).note(MOMENT)
    assert lifecycle.stop_stack(link)
    assert not is_stack_alive(real)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last server linger
        taken.bind(("127.0.0.1", settings.mariadb_port))
        taken.listen()
        lifecycle.start_stack(real, plan=PLAN)
        again = load_settings(link)
        assert again.mariadb_port != settings.mariadb_port
        assert TourMarker.of(again, use_case).moments() == {MOMENT}
        assert read_user(link) == "evergreen@localhost"
