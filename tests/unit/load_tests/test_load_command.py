"""`make load`: its options, the service that it finds, and the command that it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from load_tests.__main__ import build_command, find_service, main, parse_arguments

from evergreen.errors import ServiceUnreachable
from evergreen.settings import Settings


@pytest.fixture
def ready() -> Iterator[str]:
    """The address of something that is ready."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_service_of_the_stack_is_found(ready: str) -> None:
    settings = Settings(service_urls={"titanic": ready})
    assert find_service(settings, "titanic", "") == ready
    assert find_service(Settings(), "titanic", ready) == ready


def test_what_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(ServiceUnreachable, match="no service of titanic runs") as caught:
        find_service(Settings(), "titanic", "")
    assert "make demo" in caught.value.hint
    with pytest.raises(ServiceUnreachable, match="is not ready") as caught:
        find_service(Settings(service_urls={"titanic": "http://127.0.0.1:9"}), "titanic", "")
    assert "--url" in caught.value.hint


def test_the_command_passes_everything_on(tmp_path: Path) -> None:
    arguments = parse_arguments(["--use-case", "titanic", "--users", "5", "--max-p99", "7"])
    command = build_command("locust", arguments, "http://x", tmp_path / "load", tmp_path / "keys.json")
    text = " ".join(command)
    for part in ("--use-case titanic", "--users 5", "--run-time 60s", "--max-p99 7", "--channel probe"):
        assert part in text
    assert f"--keys {tmp_path / 'keys.json'}" in text
    assert "--keys" not in build_command("locust", arguments, "http://x", tmp_path / "load", None)


@pytest.mark.parametrize("words", [["--users", "0"], ["--seconds", "0"], ["--channel", "none"]])
def test_senseless_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert words[0] in capsys.readouterr().err
