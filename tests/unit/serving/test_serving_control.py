"""The control socket of BentoML's process manager stays inside the process, or the service does not start."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from circus.arbiter import Arbiter

from evergreen.errors import ServingError
from evergreen.serving import launch
from evergreen.serving.control import close_control_socket, refuse_connections_at_the_end


@pytest.fixture(autouse=True)
def _as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test changes in circus, and the launcher in the environment, is taken back."""
    monkeypatch.setattr(Arbiter, "__init__", Arbiter.__init__)
    monkeypatch.setattr(Arbiter, "stop", Arbiter.stop)
    monkeypatch.setenv("BENTOML_CONFIG_OVERRIDES", "")


def endpoints(arbiter: Any) -> tuple[str, str, str | None]:
    """As its controller binds them."""
    return arbiter.ctrl.endpoint, arbiter.pubsub_endpoint, arbiter.ctrl.multicast_endpoint


def test_bentoml_makes_its_arbiter_without_a_port() -> None:
    """BentoML's own function, as `bentoml serve` calls it: another way of making one would fail here."""
    from bentoml._internal.utils.circus import create_standalone_arbiter

    open_to_all = endpoints(create_standalone_arbiter([]))
    assert open_to_all[0].startswith("tcp://127.0.0.1:")
    for _ in range(2):
        close_control_socket()
    control, events, multicast = endpoints(create_standalone_arbiter([]))
    assert control.startswith("inproc://")
    assert events.startswith("inproc://")
    assert control != events
    assert multicast is None


@pytest.mark.parametrize(
    "option", [{"statsd": True}, {"httpd": True}, {"multicast_endpoint": "udp://1:1"}, {"plugins": [{}]}]
)
def test_what_would_open_or_need_a_socket_is_refused(option: dict[str, Any]) -> None:
    close_control_socket()
    with pytest.raises(ServingError, match=next(iter(option))) as refused:
        Arbiter([], "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", **option)
    assert "--reload" in refused.value.hint


def test_an_arbiter_that_cannot_be_told_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(self: Arbiter, watchers: list[Any], address: str) -> None:
        raise AssertionError("made")

    monkeypatch.setattr(Arbiter, "__init__", changed)
    with pytest.raises(ServingError, match="takes no endpoint and no pubsub_endpoint"):
        close_control_socket()
    assert launch.main([]) == ServingError.exit_code
    assert "open to every local user" in capsys.readouterr().err


def test_a_missing_circus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "circus.arbiter", None)
    with pytest.raises(ServingError, match="not as expected"):
        close_control_socket()


def test_nobody_can_connect_while_an_arbiter_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []
    monkeypatch.setattr(Arbiter, "stop", lambda self: seen.append(self.sockets["api"].fileno()))
    for _ in range(2):
        refuse_connections_at_the_end()
    arbiter = Arbiter.__new__(Arbiter)
    arbiter.sockets = {"api": listener}
    arbiter.stop()
    assert seen == [-1]


def test_the_launcher_passes_on_what_is_bentomls(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(launch.runpy, "run_module", lambda name, **_: ran.append((name, list(sys.argv))))
    monkeypatch.setattr(sys, "argv", ["as before"])
    launch.main(["--port", "3005", "--timeout-graceful-shutdown", "7"])
    launch.main(["--service", "evergreen-service:latest", "--host", "0.0.0.0"])
    serve = ["bentoml", "serve"]
    first = [*serve, launch.SERVICE, "--host", "127.0.0.1", "--port", "3005"]
    first += ["--timeout-graceful-shutdown", "7"]
    second = [*serve, "evergreen-service:latest", "--host", "0.0.0.0", "--port", "3000"]
    assert ran == [("bentoml", first), ("bentoml", second)]
