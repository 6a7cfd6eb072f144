"""Who may read the exporter's metrics, over real connections; and that its pages tell every metric."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from evergreen.errors import PortInUse, SettingsError
from evergreen.exporter.background import BackgroundCollector
from evergreen.exporter.families import FAMILIES
from evergreen.exporter.run import build_registry
from evergreen.exporter.samples import Samples
from evergreen.exporter.server import build_application, load_scrape_access, open_server
from evergreen.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "monitoring.md"
KEY = "eg_0123456789abcdef"


@contextmanager
def serving(settings: Settings, host: str = "127.0.0.1") -> Iterator[str]:
    """An exporter of these settings, as if it listened on `host`; its address."""
    collector = BackgroundCollector(
        "tables", lambda samples: samples.add("evergreen_label_rows", 7, "toy"), 60, 60
    )
    collector.collect()
    access = load_scrape_access(settings, host)
    server = open_server("127.0.0.1", 0, build_application(build_registry([collector]), access))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def test_on_loopback_everybody_may_read_them(tmp_path: Path) -> None:
    with serving(Settings(home=tmp_path)) as url:
        answer = ask(f"{url}/metrics")
        assert answer.status_code == 200
        assert 'evergreen_label_rows{use_case="toy"} 7.0' in answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        assert ask(f"{url}/healthz").text == "alive\n"
        assert ask(f"{url}/elsewhere").status_code == 404
        # A page whose name was pointed at this machine (DNS rebinding).
        assert ask(f"{url}/metrics", Host="evil.example").status_code == 421


@pytest.mark.parametrize(
    ("access", "host", "status"),
    [
        ("auto", "0.0.0.0", 401),
        ("key", "127.0.0.1", 401),
        ("open", "0.0.0.0", 200),
        ("auto", "127.0.0.1", 200),
    ],
)
def test_a_key_is_required_as_the_services_require_it(
    tmp_path: Path, access: str, host: str, status: int
) -> None:
    settings = Settings(home=tmp_path, metrics_access=access, api_keys=SecretStr(f"prometheus:{KEY}"))
    with serving(settings, host) as url:
        assert ask(f"{url}/metrics").status_code == status
        assert ask(f"{url}/metrics", Authorization="Bearer eg_another_key_of_somebody").status_code == status
        assert ask(f"{url}/metrics", Authorization=f"Bearer {KEY}").status_code == 200
        assert ask(f"{url}/metrics", **{"X-API-Key": KEY}).status_code == 200
        assert ask(f"{url}/healthz").status_code == 200


def test_without_any_key_it_does_not_listen_where_others_reach_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="need an API key") as caught:
        load_scrape_access(Settings(home=tmp_path), "0.0.0.0")
    assert "evergreen keys new prometheus" in caught.value.hint


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            open_server("127.0.0.1", port, lambda _environment, _start: [])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        open_server("192.0.2.1", 0, lambda _environment, _start: [])


def test_the_docs_have_every_metric_with_its_labels() -> None:
    table = PAGE.read_text("utf-8").partition("| metric of the exporter | labels |")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    told = {
        name: tuple(re.findall(r"`(\w+)`", cells[2].partition(":")[0]))
        for cells in rows
        for name in re.findall(r"`(evergreen_\w+)`", cells[1])
    }
    assert told == {family.name: family.labels for family in FAMILIES.values()}


def test_names_say_their_unit() -> None:
    samples = Samples()
    for family in FAMILIES.values():
        samples.add(family.name, 1, *family.labels)
        # Prometheus' naming: a moment ends with its unit, and only counters with _total.
        assert not family.name.endswith("_total")
        assert ("timestamp" in family.name) == family.name.endswith("_timestamp_seconds")
